//! `args` and `kwargs`: what a function or a worker program is called with. Rendered as JSON, so that numbers stay
//! numbers on the way.

use crate::base::json;
use crate::base::json::NotFinite;
use crate::config::{Planner, Table};
use crate::config::{ValueStep, ValueTemplate};
use crate::task::Values;

/// The field of inputs that are not records.
const SINGLE: &str = "input";

/// The planned arguments of each task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    args: Vec<ValueTemplate>,
    kwargs: Vec<(String, ValueTemplate)>,
    not_finite: NotFinite,
}

impl Arguments {
    /// Reads `args` and `kwargs`. If the table has neither: what the stage before has handed on is the one argument; in
    /// the first stage the single input is, or the fields of a record are keyword arguments. `None` if there was a
    /// mistake, which has been noted.
    pub fn read(table: &mut Table<'_>, not_finite: NotFinite, plan: &Planner<'_>) -> Option<Self> {
        let args = table.value_templates("args", not_finite, plan);
        let kwargs = table.value_template_map("kwargs", not_finite, plan);
        if !table.has("args") && !table.has("kwargs") {
            if plan.has_payload() {
                plan.take_payload();
                let args = vec![ValueTemplate::Payload];
                return Some(Self { args, kwargs: Vec::new(), not_finite });
            }
            return Some(Self::of_fields(plan.argument_fields(), not_finite));
        }
        Some(Self {
            args: if table.has("args") { args? } else { Vec::new() },
            kwargs: if table.has("kwargs") { kwargs? } else { Vec::new() },
            not_finite,
        })
    }

    fn of_fields(fields: &[String], not_finite: NotFinite) -> Self {
        let mut arguments = Self { args: Vec::new(), kwargs: Vec::new(), not_finite };
        if let [field] = fields
            && field == SINGLE
        {
            arguments.args.push(ValueTemplate::Field(0));
        } else {
            let field =
                |(index, name): (usize, &String)| (name.clone(), ValueTemplate::Field(index));
            arguments.kwargs = fields.iter().enumerate().map(field).collect();
        }
        arguments
    }

    /// Whether there is exactly one argument, and no keyword argument.
    pub fn is_sole(&self) -> bool {
        self.args.len() == 1 && self.kwargs.is_empty()
    }

    /// Whether there are keyword arguments.
    pub fn has_kwargs(&self) -> bool {
        !self.kwargs.is_empty()
    }

    /// The number of positional arguments.
    pub fn args(&self) -> usize {
        self.args.len()
    }

    /// The names of the keyword arguments.
    pub fn kwargs(&self) -> impl Iterator<Item = &str> {
        self.kwargs.iter().map(|(name, _)| &**name)
    }

    /// Where in the positional and in the keyword arguments that stands which the stage before has handed on.
    pub fn payloads(&self) -> [Vec<Vec<ValueStep<'_>>>; 2] {
        let [mut args, mut kwargs] = [Vec::new(), Vec::new()];
        for (index, value) in self.args.iter().enumerate() {
            value.payloads(vec![ValueStep::Index(index)], &mut args);
        }
        for (name, value) in &self.kwargs {
            value.payloads(vec![ValueStep::Name(name)], &mut kwargs);
        }
        [args, kwargs]
    }

    /// Appends the JSON of the first argument; all that there is, if it [is the sole one](Self::is_sole).
    pub fn render_first(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        if let Some(first) = self.args.first() {
            self.render_one(first, values, out);
        }
    }

    fn render_one(&self, value: &ValueTemplate, values: &Values<'_>, out: &mut Vec<u8>) {
        match self.not_finite {
            NotFinite::Python => value.render_for_python(values, out),
            NotFinite::Text => value.render(values, NotFinite::Text, out),
        }
    }

    /// Appends the arguments as a JSON array.
    pub fn render_args(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        json::write_array(&self.args, out, |value, out| self.render_one(value, values, out));
    }

    /// Appends the keyword arguments as a JSON object.
    pub fn render_kwargs(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        json::write_object(&self.kwargs, out, |value, out| self.render_one(value, values, out));
    }

    /// One call for people: `crunch(20000, mode="fast")`.
    pub fn show(&self, function: &str, values: &Values<'_>) -> String {
        let mut out = Vec::new();
        for value in &self.args {
            out.extend_from_slice(if out.is_empty() { b"" } else { b", " });
            value.render(values, self.not_finite, &mut out);
        }
        for (name, value) in &self.kwargs {
            out.extend_from_slice(if out.is_empty() { b"" } else { b", " });
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            value.render(values, self.not_finite, &mut out);
        }
        format!("{function}({})", String::from_utf8_lossy(&out))
    }
}
