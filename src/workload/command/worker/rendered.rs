//! A command as it is rendered for one task: what the launcher is given.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use crate::config::program::{Folder, c_path};
use crate::launcher::{Start, Strings};
use crate::task::Values;
use crate::workload::command::ends::Ends;
use crate::workload::command::plan::{Action, Plan, Program, Variable};

/// The longest string that a program can be given, `MAX_ARG_STRLEN` (execve(2)), with its NUL.
const LONGEST_VARIABLE: usize = 128 << 10;

/// The strings of a start.
#[derive(Debug, Default)]
pub(super) struct Command {
    argv: Strings,
    set: Strings,
    unset: Strings,
    /// If it is another one for each task.
    program: Option<CString>,
    /// The same.
    cwd: Option<CString>,
}

impl Command {
    /// Renders what `plan` says for a task.
    pub(super) fn render(&mut self, plan: &Plan, values: &Values<'_>) -> Result<(), String> {
        self.render_argv(plan, values)?;
        self.render_environment(plan, values)?;
        if let Program::Each = plan.program {
            self.program = Some(self.find_program(plan)?);
        }
        if let Folder::Each(template) = &plan.cwd {
            let mut path = Vec::new();
            template.render(values, &mut path);
            let path = c_path(plan.resolve(&path));
            self.cwd = Some(path.ok_or("the working folder's name contains a NUL")?);
        }
        Ok(())
    }

    fn render_argv(&mut self, plan: &Plan, values: &Values<'_>) -> Result<(), String> {
        self.argv.clear();
        let nul = |index| format!("argument {index} contains a NUL, which no program can be given");
        match &plan.action {
            Action::Argv(argv) => {
                for (index, argument) in argv.iter().enumerate() {
                    if let Some(each) = argument.render_each(values) {
                        for value in each {
                            self.argv.push(value).map_err(|_| nul(index))?;
                        }
                        continue;
                    }
                    self.argv
                        .push_with(|bytes| argument.render(values, bytes))
                        .map_err(|_| nul(index))?;
                }
            }
            Action::Shell(words) => {
                for (index, argument) in words.iter().enumerate() {
                    self.argv.push(argument).map_err(|_| nul(index))?;
                }
            }
        }
        Ok(())
    }

    fn render_environment(&mut self, plan: &Plan, values: &Values<'_>) -> Result<(), String> {
        self.set.clear();
        let mut digits = itoa::Buffer::new();
        let mut room = plan.room;
        for (name, value) in &plan.variables {
            if let Variable::Field { index, is_named } = value {
                let size = name.len() + values.fields.text_len(*index) + 2;
                let fits = size <= LONGEST_VARIABLE && size + size_of::<usize>() <= room;
                if !fits && *is_named {
                    return Err(format!(
                        "the field of `${name}` has {} bytes, which is more than a variable of the environment can \
                         have here: hand it over by `stdin`, or by `argv` of a program that reads a file",
                        values.fields.text_len(*index)
                    ));
                }
                if !fits {
                    continue;
                }
                room -= size + size_of::<usize>();
            }
            let pushed = self.set.push_with(|bytes| {
                bytes.extend_from_slice(name.as_bytes());
                bytes.push(b'=');
                match value {
                    Variable::Template(template) => template.render(values, bytes),
                    Variable::Field { index, .. } => values.fields.push_text(*index, bytes),
                    Variable::Task => {
                        bytes.extend_from_slice(digits.format(values.task).as_bytes());
                    }
                    Variable::Attempt => {
                        bytes.extend_from_slice(digits.format(values.attempt).as_bytes());
                    }
                    Variable::Slot => {
                        bytes.extend_from_slice(digits.format(values.slot).as_bytes());
                    }
                    Variable::Job => bytes.extend_from_slice(plan.job.as_bytes()),
                }
            });
            if let Variable::Field { is_named: false, .. } = value {
                continue; // one that has a NUL is left out
            }
            pushed.map_err(|_| {
                format!("the value of `{name}` contains a NUL, which no environment can have")
            })?;
        }
        Ok(())
    }

    fn find_program(&self, plan: &Plan) -> Result<CString, String> {
        let name = self.argv.iter().next().unwrap_or_default();
        let path = plan.places.find(name.to_bytes());
        let path = path.map_err(|reason| format!("failed to run `{}`: {reason}", self.name()))?;
        Ok(c_path(path).expect("neither a folder nor an argument has a NUL"))
    }

    /// The program as it was written.
    pub(super) fn name(&self) -> Cow<'_, str> {
        self.argv.iter().next().map(CStr::to_string_lossy).unwrap_or_default()
    }

    pub(super) fn start<'a>(&'a self, plan: &'a Plan, ends: &'a Ends) -> Start<'a> {
        let program = match &plan.program {
            Program::Same(program) => Some(program.as_c_str()),
            Program::Each => self.program.as_deref(),
        };
        let cwd = match &plan.cwd {
            Folder::Same(folder) => Some(folder.as_c_str()),
            Folder::Each(_) => self.cwd.as_deref(),
        };
        Start {
            program: program.unwrap_or_default(),
            argv: &self.argv,
            set: &self.set,
            unset: &self.unset,
            cwd,
            stdin: ends.stdin(),
            stdout: ends.stdout(),
            stderr: ends.stderr(),
            extra: None,
        }
    }
}
