//! Takes the options of a command line apart, as getopt does.

/// What a program's options look like. Long names are written without their dashes, and may be typed with or without.
pub(super) struct Known {
    /// Letters that take a value.
    pub letters: &'static str,
    /// Letters whose value, if any, follows at once: `-i{}`.
    pub optional: &'static str,
    /// Long names that take a value, with blanks between them.
    pub names: &'static str,
    /// Long names that take none, or one after `=`.
    pub flags: &'static str,
}

/// An option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Its name without any dashes.
    pub name: String,
    pub value: Option<String>,
    /// As it is typed, without its value.
    typed: String,
}

impl Given {
    /// Its value; nothing if it has none.
    pub fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    /// As it is typed.
    pub fn shown(&self) -> String {
        let Self { typed, value, .. } = self;
        value.as_ref().map_or_else(|| typed.clone(), |value| format!("{typed} {value}"))
    }
}

impl Known {
    /// The options at the start of `words`, and the words after them.
    pub fn split<'a>(&self, words: &'a [String]) -> (Vec<Given>, &'a [String]) {
        let mut given = Vec::new();
        let mut rest = words;
        while let [word, after @ ..] = rest {
            if word == "--" {
                return (given, after);
            }
            rest = if let Some(long) = word.strip_prefix("--") {
                self.long(long, after, &mut given)
            } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                self.letters(letters, after, &mut given)
            } else {
                return (given, rest);
            };
        }
        (given, rest)
    }

    fn long<'a>(&self, long: &str, after: &'a [String], given: &mut Vec<Given>) -> &'a [String] {
        let (typed, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let name = self.whole(&typed.replace(['-', '_'], ""));
        let is_wanted = value.is_none() && self.names.split(' ').any(|known| known == name);
        let typed = format!("--{typed}");
        match after {
            [value, after @ ..] if is_wanted => {
                given.push(Given { name, value: Some(value.clone()), typed });
                after
            }
            _ => {
                given.push(Given { name, value, typed });
                after
            }
        }
    }

    /// The name that begins like this, if it is the only one.
    fn whole(&self, start: &str) -> String {
        let all = || self.names.split(' ').chain(self.flags.split(' '));
        if all().any(|name| name == start) {
            return start.into();
        }
        let mut like = all().filter(|name| name.starts_with(start));
        match (like.next(), like.next()) {
            (Some(name), None) => name.into(),
            _ => start.into(),
        }
    }

    fn letters<'a>(
        &self,
        letters: &str,
        after: &'a [String],
        given: &mut Vec<Given>,
    ) -> &'a [String] {
        for (at, letter) in letters.char_indices() {
            let value = &letters[at + letter.len_utf8()..];
            let value =
                (!value.is_empty()).then(|| value.strip_prefix('=').unwrap_or(value).to_owned());
            let option = Given { name: letter.into(), value: None, typed: format!("-{letter}") };
            if self.optional.contains(letter) {
                given.push(Given { value, ..option });
                return after;
            }
            if self.letters.contains(letter) {
                return match (value, after) {
                    (None, [value, after @ ..]) => {
                        given.push(Given { value: Some(value.clone()), ..option });
                        after
                    }
                    (value, after) => {
                        given.push(Given { value, ..option });
                        after
                    }
                };
            }
            given.push(option);
        }
        after
    }
}
