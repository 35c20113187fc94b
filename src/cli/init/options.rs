//! Takes the options of a command line apart, as getopt does.

/// What a program's options look like.
pub(super) struct Known {
    /// Letters that take a value.
    pub letters: &'static str,
    /// Letters whose value, if any, follows at once: `-i{}`.
    pub optional: &'static str,
    /// Long names that take a value.
    pub names: &'static [&'static str],
    /// Long names that take none, or one after `=`.
    pub flags: &'static [&'static str],
}

/// An option: its name without dashes, and its value.
pub(super) type Given = (String, Option<String>);

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
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let name = self.whole(name);
        let is_wanted = value.is_none() && self.names.contains(&name.as_str());
        match after {
            [value, after @ ..] if is_wanted => {
                given.push((name, Some(value.clone())));
                after
            }
            _ => {
                given.push((name, value));
                after
            }
        }
    }

    /// The name that begins like this, if it is the only one.
    fn whole(&self, start: &str) -> String {
        let all = || self.names.iter().chain(self.flags);
        if all().any(|name| *name == start) {
            return start.into();
        }
        let mut like = all().filter(|name| name.starts_with(start));
        match (like.next(), like.next()) {
            (Some(name), None) => (*name).into(),
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
            let name = letter.to_string();
            if self.optional.contains(letter) {
                given.push((name, value));
                return after;
            }
            if self.letters.contains(letter) {
                return match (value, after) {
                    (None, [value, after @ ..]) => {
                        given.push((name, Some(value.clone())));
                        after
                    }
                    (value, after) => {
                        given.push((name, value));
                        after
                    }
                };
            }
            given.push((name, None));
        }
        after
    }
}

/// As it is typed.
pub(super) fn shown(name: &str, value: Option<&str>) -> String {
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    value.map_or_else(|| format!("{dashes}{name}"), |value| format!("{dashes}{name} {value}"))
}
