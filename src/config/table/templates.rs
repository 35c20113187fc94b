//! Strings with placeholders in a table.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::{Table, scalar_text};
use crate::config::{Planner, Template, inside};

impl Table<'_> {
    /// A string with placeholders.
    pub fn template(&mut self, key: &'static str, plan: &Planner<'_>) -> Option<Template> {
        let value = self.raw(key)?;
        let Some(text) = self.text_of(value) else {
            self.wrong_type(key, value, "a string");
            return None;
        };
        let template = self.parse_template(key, &text, &value.span(), plan)?;
        self.one_value(key, template, value, plan)
    }

    /// A string with placeholders, or an array of them; each with its place.
    pub fn template_list(
        &mut self,
        key: &'static str,
        plan: &Planner<'_>,
    ) -> Option<Vec<(Template, Range<usize>)>> {
        let value = self.raw(key)?;
        let parse = |value: &Spanned<DeValue<'_>>| {
            let DeValue::String(text) = value.get_ref() else {
                self.wrong_type(key, value, "a string or an array of strings");
                return None;
            };
            Some((self.parse_template(key, text, &value.span(), plan)?, value.span()))
        };
        if let DeValue::Array(array) = value.get_ref() {
            let templates: Vec<_> = array.iter().map(parse).collect();
            return templates.into_iter().collect();
        }
        if let Some(text) = self.text_of(value) {
            let template = self.parse_template(key, &text, &value.span(), plan)?;
            return Some(vec![(template, value.span())]);
        }
        parse(value).map(|parsed| vec![parsed])
    }

    /// Refuses a template that makes one value of a field, where a task has several inputs.
    fn one_value(
        &self,
        key: &str,
        template: Template,
        value: &Spanned<DeValue<'_>>,
        plan: &Planner<'_>,
    ) -> Option<Template> {
        /// What a task has one of.
        const SINGLE: [&str; 8] =
            ["cwd", "stdin_file", "stdout", "stderr", "url", "save", "arg", "duration"];
        if plan.is_batched() && SINGLE.contains(&key) && template.has_field() {
            let message = format!("`{key}` needs one value, and a task of `batch` has several");
            let help = "leave `batch` out, or name it after the task: `{task}`";
            self.document.error_with_help(&value.span(), message, help);
            return None;
        }
        Some(template)
    }

    /// An array of strings with placeholders.
    pub fn templates(&mut self, key: &'static str, plan: &Planner<'_>) -> Option<Vec<Template>> {
        let value = self.raw(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, value, "an array of strings");
            return None;
        };
        let templates: Vec<_> = array
            .iter()
            .map(|element| {
                let DeValue::String(text) = element.get_ref() else {
                    self.wrong_type(key, element, "an array of strings");
                    return None;
                };
                self.parse_template(key, text, &element.span(), plan)
            })
            .collect();
        templates.into_iter().collect()
    }

    /// A table of strings with placeholders, such as `env`; numbers and booleans are taken as their text.
    pub fn template_map(
        &mut self,
        key: &'static str,
        plan: &Planner<'_>,
    ) -> Vec<(String, Template)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let templates = table.entries.iter().filter_map(|(name, value)| {
            let text = self.entry_text(name.get_ref(), value)?;
            let template = self.parse_template(key, &text, &value.span(), plan)?;
            Some((name.get_ref().clone().into_owned(), template))
        });
        templates.collect()
    }

    /// A number, or a string with placeholders.
    pub fn scalar_template(&mut self, key: &'static str, plan: &Planner<'_>) -> Option<Template> {
        let value = self.raw(key)?;
        match value.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => {
                scalar_text(value.get_ref()).map(Template::constant)
            }
            DeValue::String(text) => {
                let template = self.parse_template(key, text, &value.span(), plan)?;
                self.one_value(key, template, value, plan)
            }
            _ => {
                self.wrong_type(key, value, "a number or a string");
                None
            }
        }
    }

    /// A string with placeholders at `key`, which the user has chosen; a number or a boolean is taken as its text.
    pub fn named_template(&self, key: &str, plan: &Planner<'_>) -> Option<Template> {
        let value = self.entries.get(key)?;
        let text = self.entry_text(key, value)?;
        self.parse_template(key, &text, &value.span(), plan)
    }

    /// The text of a value whose name the user has chosen. A date is none: what its reader expects, with a `T` or a blank
    /// between day and time, only its text can say, and no schema has a type for one.
    fn entry_text(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let is_date = matches!(value.get_ref(), DeValue::Datetime(_));
        let text = scalar_text(value.get_ref()).filter(|_| !is_date);
        if text.is_none() {
            self.wrong_type(key, value, "a string");
        }
        text
    }

    /// Whether a secret may stand at `key`: not where others could see it.
    fn takes_secrets(&self, key: &str) -> bool {
        let is_request = self.name.contains("workload.http") && key != "save";
        is_request || ["env", "stdin"].contains(&key)
    }

    pub(super) fn parse_template(
        &self,
        key: &str,
        text: &str,
        span: &Range<usize>,
        plan: &Planner<'_>,
    ) -> Option<Template> {
        Template::parse(text, &plan.scope())
            .inspect(|template| {
                self.document.remark_exact_names(text, span, plan.fields());
                if template.has_secret() && !self.takes_secrets(key) {
                    let message =
                        format!("a secret cannot stand in `{key}`, where others would see it");
                    let help = "secrets may stand in `[workload.http]`, in `env` and in `stdin`";
                    self.document.error_with_help(span, message, help);
                }
                if template.has_payload() {
                    plan.take_payload();
                }
                plan.demand(template.demands());
            })
            .map_err(|error| {
                let place = inside(self.document, span, text, &error.span);
                self.document.error_with_help(&place, error.message, error.help);
            })
            .ok()
    }
}
