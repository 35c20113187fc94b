//! `runner man`: the manual pages, from the command line's own help and from the table of keys.

use std::fmt::Write;

use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::config::schema::{self, RUNNER_TOML, Section};

/// The arguments of `runner man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Print runner-job(5), the page of the job file, instead of runner(1).
    #[arg(long)]
    job: bool,
}

/// A page, as roff.
pub fn page(args: &ManArgs) -> String {
    if args.job { job() } else { program().expect("a page in memory is written without fail") }
}

/// runner(1): the program, then each of its commands.
fn program() -> std::io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let shown =
        command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    for sub in shown {
        let name = sub.get_name().to_owned();
        writeln_to(
            &mut page,
            &format!(".SH {}", text(&format!("RUNNER {}", name.to_uppercase()))),
        )?;
        let man = clap_mangen::Man::new(sub.clone());
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        page.extend(String::from_utf8_lossy(&part).replace(".SH ", ".SS ").into_bytes());
    }
    writeln_to(&mut page, ".SH \"EXIT STATUS\"")?;
    for (code, meaning) in crate::cli::EXITS {
        writeln_to(&mut page, &format!(".TP\n.B {code}\n{}", text(meaning)))?;
    }
    writeln_to(&mut page, ".SH \"SEE ALSO\"\n.BR runner\\-job (5)")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn writeln_to(page: &mut Vec<u8>, line: &str) -> std::io::Result<()> {
    std::io::Write::write_all(page, format!("{line}\n").as_bytes())
}

/// runner-job(5): every table with its keys.
fn job() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        ".TH \"RUNNER\\-JOB\" 5 \"\" \"runner {version}\" \"\"\n.SH NAME\nrunner\\-job \\- the job files of runner\n\
         .SH DESCRIPTION\nA job file is TOML, and one file is one job: where its tasks come from, what each does, and what of \
         it belongs in the report. Relative paths start at the folder of the file. An unknown key is an error.\n.PP\n\
         Strings that are templates may have placeholders: {{input}} or a field by its name, {{input.stem}}, {{input.name}}, \
         {{input.base}}, {{input.dir}}, {{input.ext}}, {{input.url}}, {{task}}, {{attempt}}, {{slot}}, {{job}}. Braces are \
         written {{{{ and }}}}.\n.SH EXAMPLE\n.nf\n[inputs]\nglob = \"data/*.txt\"\n\n[workload.command]\nargv = [\"wc\", \
         \"\\-l\", \"{{input}}\"]\n.fi\n"
    );
    for section in schema::sections() {
        // The same keys as elsewhere.
        if section.name == "stages.limits" || section.name.starts_with("runner.toml.defaults.") {
            continue;
        }
        push_section(&mut page, section);
    }
    page.push_str(".SH \"SEE ALSO\"\n.BR runner (1)\n");
    page
}

fn push_section(page: &mut String, section: &Section) {
    let name = section.name.replace('*', "NAME");
    let title = match name.strip_prefix(RUNNER_TOML) {
        _ if name.is_empty() => "THE TOP OF THE FILE".to_owned(),
        Some("") => "THE FILE runner.toml".to_owned(),
        Some(table) => format!("[{}] of runner.toml", table.trim_start_matches('.')),
        None if name == "stages" => "[[stages]]".into(),
        None => format!("[{name}]"),
    };
    let _ = writeln!(page, ".SH \"{}\"", text(&title));
    for key in section.keys() {
        let default = match key.default {
            schema::Default::None => String::new(),
            default => format!(" Default: {}.", default.to_string().replace('`', "")),
        };
        let (kind, meaning) = (key.kind.to_string().replace('`', ""), key.meaning.replace('`', ""));
        let _ = writeln!(page, ".TP\n.BR {} \" ({})\"", text(key.name), quoted(&kind));
        let _ = writeln!(page, "{}", text(&format!("{meaning}.{default}")));
    }
}

/// Text that roff prints as it is.
fn text(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

/// The same between quotes.
fn quoted(inside: &str) -> String {
    text(inside).replace('"', "\\(dq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_request() {
        assert_eq!(text(".x 'a' \\n --y"), "\\&.x \\(aqa\\(aq \\en \\-\\-y");
    }

    #[test]
    fn the_job_page_has_every_key() {
        let page = job();
        for section in schema::sections() {
            for key in section.keys() {
                assert!(page.contains(&format!("\n.BR {} ", text(key.name))), "{}", key.name);
            }
        }
    }
}
