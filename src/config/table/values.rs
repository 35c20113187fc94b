//! Values of any type, with templates in their strings.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::scalar;
use crate::base::json;
use crate::base::json::NotFinite;
use crate::config::template::ValueTemplate;
use crate::config::{Planner, Table, Template};
use crate::task::Kind;

impl Table<'_> {
    /// An array of values of any type, with templates in their strings. `None` if there is none, or a mistake in it,
    /// which has been noted.
    pub fn value_templates(
        &mut self,
        key: &'static str,
        not_finite: NotFinite,
        plan: &Planner<'_>,
    ) -> Option<Vec<ValueTemplate>> {
        let value = self.raw(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, value, "an array");
            return None;
        };
        self.all(key, array.iter(), not_finite, plan)
    }

    /// A table of values of any type, with templates in their strings. `None` if there is none, or a mistake in it,
    /// which has been noted.
    pub fn value_template_map(
        &mut self,
        key: &'static str,
        not_finite: NotFinite,
        plan: &Planner<'_>,
    ) -> Option<Vec<(String, ValueTemplate)>> {
        let table = self.table(key)?;
        self.named_values(key, table.entries, not_finite, plan)
    }

    /// A value of any type, with templates in its strings. `None` if there is none, or a mistake in it, which has been
    /// noted.
    pub fn any_template(
        &mut self,
        key: &'static str,
        not_finite: NotFinite,
        plan: &Planner<'_>,
    ) -> Option<ValueTemplate> {
        let value = self.raw(key)?;
        self.value_template(key, value, not_finite, plan)
    }

    fn named_values(
        &self,
        key: &str,
        entries: &DeTable<'_>,
        not_finite: NotFinite,
        plan: &Planner<'_>,
    ) -> Option<Vec<(String, ValueTemplate)>> {
        let values = self.all(key, entries.values(), not_finite, plan)?;
        let names = entries.keys().map(|name| name.get_ref().clone().into_owned());
        Some(names.zip(values).collect())
    }

    /// All are looked at, so that every mistake is told.
    fn all<'v>(
        &self,
        key: &str,
        values: impl Iterator<Item = &'v Spanned<DeValue<'v>>>,
        not_finite: NotFinite,
        plan: &Planner<'_>,
    ) -> Option<Vec<ValueTemplate>> {
        let read: Vec<_> =
            values.map(|value| self.value_template(key, value, not_finite, plan)).collect();
        read.into_iter().collect()
    }

    fn value_template(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        not_finite: NotFinite,
        plan: &Planner<'_>,
    ) -> Option<ValueTemplate> {
        match value.get_ref() {
            DeValue::String(text) => {
                self.parse_template(key, text, &value.span(), plan).map(ValueTemplate::from)
            }
            DeValue::Array(array) => {
                self.all(key, array.iter(), not_finite, plan).map(ValueTemplate::Array)
            }
            DeValue::Table(entries) => {
                self.named_values(key, entries, not_finite, plan).map(ValueTemplate::Object)
            }
            single => {
                let single = scalar(single)?;
                if single.kind == Kind::Text {
                    return Some(Template::constant(single.text).into()); // a date
                }
                let mut constant = Vec::new();
                json::write_bare(single.text.as_bytes(), not_finite, &mut constant);
                Some(ValueTemplate::Constant(constant))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::base::diagnostic::Source;
    use crate::config::{Absent, Arguments, Document};
    use crate::task::{Fields, Values};

    /// The arguments of a table of this text, or what is wrong with it.
    fn read(text: &str, fields: &[&str], not_finite: NotFinite) -> Result<Arguments, String> {
        let source = Arc::new(Source { name: "a.toml".into(), text: text.into() });
        let root = DeTable::parse(&source.text).unwrap();
        let document = Document::new(Arc::clone(&source), None, &[]);
        let plan = Planner::new(
            &document,
            "a".into(),
            PathBuf::new(),
            Some(fields.iter().map(|&field| field.to_owned()).collect()),
            Absent::Mistake,
        );
        let mut table = Table::root(&document, root.get_ref());
        let arguments = Arguments::read(&mut table, not_finite, &plan);
        arguments.ok_or_else(|| {
            let (errors, _) = document.into_errors();
            errors.iter().map(ToString::to_string).collect()
        })
    }

    fn input() -> Fields {
        let mut input = Fields::single_number("0x10");
        input.push("a\"\u{e9}");
        input.push_of("", Kind::Bare);
        input.push_of("[1, {\"b\": null}]", Kind::Bare);
        input.push(b"\xff");
        input.push_of("-inf", Kind::Bare);
        input
    }

    const FIELDS: [&str; 6] = ["n", "text", "none", "list", "raw", "low"];

    fn rendered(arguments: &Arguments, fields: &Fields) -> String {
        let values = Values { fields, task: 7, attempt: 2, slot: 3, payload: None };
        let mut out = Vec::new();
        arguments.render_args(&values, &mut out);
        arguments.render_kwargs(&values, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_lone_placeholder_keeps_its_type() {
        for (text, expected) in [
            ("args = ['{n}', '{none}', '{list}']", r#"[16,null,[1, {"b": null}]]{}"#),
            ("args = ['{text}', '{raw}', '{low}']", r#"["a\"é","\udcff","-inf"]{}"#),
            (
                "args = ['x{n}', '{n}{text}', '{n.stem}', '{none}!']",
                r#"["x0x10","0x10a\"é","0x10","!"]{}"#,
            ),
            (
                "args = ['{task}', '{attempt}', '{slot}', '{job}', '{{n}}']",
                r#"[7,2,3,"a","{n}"]{}"#,
            ),
            (
                "args = [1_000, +5, 0.10, 0xff, true, inf, '']",
                r#"[1000,5,0.10,255,true,"inf",""]{}"#,
            ),
            ("args = [[1, ['{n}']], { a = '{task}', b = {} }]", r#"[[1,[16]],{"a":7,"b":{}}]{}"#),
            ("args = [2020-01-02]", r#"["2020-01-02"]{}"#),
            ("kwargs = { k = '{n}', 'a b' = ['x'] }", r#"[]{"k":16,"a b":["x"]}"#),
            ("args = []", "[]{}"),
        ] {
            let arguments = read(text, &FIELDS, NotFinite::Text).unwrap();
            assert_eq!(rendered(&arguments, &input()), expected, "{text}");
        }
    }

    #[test]
    fn without_words_the_input_is_the_argument_and_a_record_are_keywords() {
        let default = |fields: &[&str]| read("", fields, NotFinite::Python).unwrap();
        assert_eq!(rendered(&default(&[]), &Fields::default()), "[]{}");
        assert_eq!(rendered(&default(&["input"]), &Fields::single("1")), r#"["1"]{}"#);
        assert_eq!(rendered(&default(&["input"]), &Fields::single_number("1")), "[1]{}");
        assert_eq!(rendered(&default(&["url"]), &Fields::single("x")), r#"[]{"url":"x"}"#);
        assert!(rendered(&default(&FIELDS), &input()).ends_with(r#","low":-Infinity}"#));
        assert!(default(&["input"]).is_sole());
        assert!(!default(&["url"]).is_sole());
    }

    #[test]
    fn a_call_is_shown() {
        let text = "args = ['{n}', [1]]\nkwargs = { x = '{text}' }";
        let arguments = read(text, &FIELDS, NotFinite::Text).unwrap();
        let fields = input();
        let values = Values { fields: &fields, task: 7, attempt: 2, slot: 3, payload: None };
        assert_eq!(arguments.show("f", &values), r#"f(16, [1], x="a\"é")"#);
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, expected) in [
            ("args = 5", "`args` must be an array, not the integer 5"),
            ("kwargs = [1]", "`kwargs` must be a table, not an array"),
            ("args = [[{ a = '{x}' }]]", "unknown field `x`"),
        ] {
            let errors = read(text, &FIELDS, NotFinite::Text).unwrap_err();
            assert!(errors.contains(expected), "{errors}");
        }
        let both = read("args = ['{x}']\nkwargs = { a = '{y}' }", &FIELDS, NotFinite::Text);
        let both = both.unwrap_err();
        assert!(both.contains("`x`") && both.contains("`y`"), "{both}");
    }
}
