//! `[fields]`: fields that are made from fields, right after reading.

use toml::Spanned;

use super::regex::FieldRegex;
use crate::base::diagnostic::nearest;
use crate::config::Scope;
use crate::config::{Table, Template, inside};
use crate::task::{Fields, Values};

/// Fields that are made from fields, in an order in which each has what it needs.
#[derive(Debug)]
pub(super) struct Derived {
    /// How many fields the source has.
    own: usize,
    rules: Vec<Rule>,
    /// The names of the fields that they make, in the order in which they are made.
    pub names: Vec<String>,
    /// Whether there can be an input that a rule cannot be applied to.
    pub can_fail: bool,
}

#[derive(Debug)]
enum Rule {
    Template(Template),
    /// The first group of the match in the field of this name and index, or the match.
    Match {
        name: String,
        index: usize,
        regex: FieldRegex,
    },
}

/// The rules as the job file has them, each after those that it needs.
pub(super) struct Rules<'a> {
    raws: Vec<Raw>,
    table: Table<'a>,
    /// The names of the source's fields and of those that the rules make.
    pub names: Vec<String>,
}

/// A rule as the job file has it.
struct Raw {
    name: Spanned<String>,
    what: What,
    /// The places of the names that it needs.
    needs: Vec<String>,
}

enum What {
    Template(Spanned<String>),
    Match(String, FieldRegex),
}

impl<'a> Rules<'a> {
    /// Reads `[fields]`. `own` are the fields of the source, `None` while they are not known. `None`: there is none, or
    /// a mistake, which has been noted.
    pub fn read(table: Option<Table<'a>>, own: Option<&[String]>) -> Option<Self> {
        let mut table = table?;
        let document = table.document();
        let before = document.errors();
        let mut raws = Vec::new();
        for (name, mut inner) in table.tables() {
            let raw = read_rule(name, &mut inner, own);
            inner.finish();
            raws.extend(raw);
        }
        let own = own?;
        if document.errors() != before {
            return None;
        }
        let raws = in_order(raws, own, &table)?;
        let made = raws.iter().map(|raw| raw.name.get_ref().clone());
        let names = own.iter().cloned().chain(made).collect();
        Some(Self { raws, table, names })
    }
}

impl Derived {
    /// Makes rules of what was read of the job of this name, which has `tasks` tasks, if that is known. `None`: there is a
    /// mistake, which has been noted.
    pub fn of(rules: Rules<'_>, job: &str, tasks: Option<u64>) -> Option<Self> {
        let document = rules.table.document();
        let own = rules.names.len() - rules.raws.len();
        let mut names = rules.names[..own].to_vec();
        let mut made = Vec::new();
        for raw in rules.raws {
            let scope = Scope { job, fields: Some(&names), tasks, ..Scope::default() };
            made.push(match raw.what {
                What::Match(from, regex) => {
                    let index = names.iter().position(|name| *name == from)?;
                    Rule::Match { name: from, index, regex }
                }
                What::Template(text) => match Template::parse(text.get_ref(), &scope) {
                    Ok(template) if !template.needs_attempt() => {
                        document.remark_exact_names(text.get_ref(), &text.span(), &names);
                        Rule::Template(template)
                    }
                    Ok(_) => {
                        let help =
                            "`[fields]` are made before there is a task, an attempt or a slot";
                        let message = "`{task}`, `{attempt}` and `{slot}` have no value here";
                        document.error_with_help(&text.span(), message, help);
                        return None;
                    }
                    Err(error) => {
                        let place = inside(document, &text.span(), text.get_ref(), &error.span);
                        document.error_with_help(&place, error.message, error.help);
                        return None;
                    }
                },
            });
            names.push(raw.name.into_inner());
        }
        let rules = made;
        let can_fail = rules.iter().any(|rule| match rule {
            Rule::Template(template) => !template.demands().is_empty(),
            // Of bytes that are not UTF-8.
            Rule::Match { .. } => true,
        });
        Some(Self { own, rules, names: names.split_off(own), can_fail })
    }

    /// The input with these fields after its own.
    pub fn apply(&self, mut fields: Fields) -> Fields {
        fields.pad(self.own);
        for rule in &self.rules {
            let mut value = Vec::new();
            match rule {
                Rule::Template(template) => {
                    let values =
                        Values { fields: &fields, task: 0, attempt: 0, slot: 0, payload: None };
                    if let Some(message) = template.unmet(&fields) {
                        return fields.with_cause(message);
                    }
                    template.render(&values, &mut value);
                }
                Rule::Match { name, index, regex } => {
                    let datum = fields.get(*index);
                    let regex = match regex.of(datum) {
                        Ok(regex) => regex,
                        Err(message) => {
                            let message = format!("`{name}` {message}");
                            return fields.with_cause(message);
                        }
                    };
                    let found = regex.captures(datum);
                    let group = usize::from(regex.captures_len() > 1);
                    let group = found.as_ref().and_then(|found| found.get(group));
                    value.extend_from_slice(group.map_or(b"", |group| group.as_bytes()));
                }
            }
            fields.push(&value);
        }
        fields
    }
}

fn read_rule(name: Spanned<String>, table: &mut Table<'_>, own: Option<&[String]>) -> Option<Raw> {
    let value = table.get::<String>("value");
    let from = table.get::<String>("from");
    let regex = table.get::<String>("regex");
    let document = table.document();
    if name.get_ref().is_empty() {
        document.error(&name.span(), "a field needs a name");
        return None;
    }
    if own.is_some_and(|own| own.contains(name.get_ref())) {
        let message = format!("the inputs have a field `{}` already", name.get_ref());
        document.error_with_help(&name.span(), message, "give it another name");
        return None;
    }
    match (value, from, regex) {
        (Some(value), None, None) => {
            let needs = mentioned(value.get_ref());
            Some(Raw { name, what: What::Template(value), needs })
        }
        (None, Some(from), Some(pattern)) => {
            let regex = FieldRegex::new(super::options::regex(&pattern, document)?);
            let from = from.into_inner();
            Some(Raw { name, what: What::Match(from.clone(), regex), needs: vec![from] })
        }
        (None, Some(from), None) if !table.has("regex") => {
            document.error(&from.span(), "`from` goes with `regex`, which says what of it");
            None
        }
        (Some(value), ..) => {
            document.error(&value.span(), "a field has `value`, or `from` and `regex`, not both");
            None
        }
        _ => {
            if !["value", "from", "regex"].iter().any(|key| table.has(key)) {
                let help = "for example `value = \"out/{input.stem}.png\"`, or `from = \"input\"` with `regex`";
                let message = format!("field `{}` has no rule", name.get_ref());
                document.error_with_help(&name.span(), message, help);
            } else if table.has("regex") && !table.has("from") {
                document.error(
                    &table.span_of("regex"),
                    "`regex` goes with `from`, the field that it reads",
                );
            }
            None
        }
    }
}

/// What stands in the braces of a template, with and without what follows a `.`, `:` or `/`.
fn mentioned(template: &str) -> Vec<String> {
    let mut names = Vec::new();
    // Doubled, it is a character.
    for part in template.replace("{{", "").split('{').skip(1) {
        let inside = part.split('}').next().unwrap_or_default();
        names.push(inside.to_owned());
        let cuts = inside.char_indices().filter(|(_, c)| matches!(c, '.' | ':' | '/'));
        names.extend(cuts.map(|(at, _)| inside[..at].to_owned()));
    }
    names
}

/// The rules, each after those that it needs.
fn in_order(mut raws: Vec<Raw>, own: &[String], table: &Table<'_>) -> Option<Vec<Raw>> {
    let document = table.document();
    for raw in &raws {
        if let What::Match(from, _) = &raw.what
            && !own.contains(from)
            && !raws.iter().any(|other| other.name.get_ref() == from)
        {
            let names = own.iter().map(String::as_str);
            let help = nearest(from, names).map_or_else(
                || {
                    format!(
                        "the inputs have {}",
                        own.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                    )
                },
                |near| format!("did you mean `{near}`?"),
            );
            document.error_with_help(&raw.name.span(), format!("unknown field `{from}`"), help);
            return None;
        }
    }
    let mut ordered: Vec<Raw> = Vec::new();
    while !raws.is_empty() {
        let is_open = |name: &String| raws.iter().any(|raw| raw.name.get_ref() == name);
        let ready = raws.iter().position(|raw| !raw.needs.iter().any(is_open));
        let Some(ready) = ready else {
            let names: Vec<_> =
                raws.iter().map(|raw| format!("`{}`", raw.name.get_ref())).collect();
            let message = match &names[..] {
                [name] => format!("the field {name} needs itself"),
                names => format!("the fields {} need each other", names.join(", ")),
            };
            document.error(&raws[0].name.span(), message);
            return None;
        };
        ordered.push(raws.remove(ready));
    }
    Some(ordered)
}
