//! What makes a job the same job to `--resume`: its workload, its columns and the fields that it makes of its inputs, as the
//! file and the command line have them. Not the inputs, which may change, and nothing of how the work is run: model, limits, retry, report.

use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys that count.
const KEYS: [&str; 3] = ["workload", "columns", "fields"];

/// The identity of a file. The order of keys, comments and the quoting of strings do not count.
pub(super) fn of(root: &DeTable<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    add_keys(&mut hash, root);
    if let Some(DeValue::Array(stages)) = root.get("stages").map(Spanned::get_ref) {
        for stage in stages {
            if let DeValue::Table(stage) = stage.get_ref() {
                hash.update(b"stage");
                add_keys(&mut hash, stage);
            }
        }
    }
    hash.finalize().into()
}

fn add_keys(hash: &mut Sha256, table: &DeTable<'_>) {
    for key in KEYS {
        if let Some(value) = table.get(key) {
            add_text(hash, b'k', key);
            add(hash, value.get_ref());
        }
    }
}

fn add(hash: &mut Sha256, value: &DeValue<'_>) {
    match value {
        DeValue::String(text) => add_text(hash, b's', text),
        DeValue::Integer(number) => {
            add_text(hash, b'i', number.as_str());
            hash.update(number.radix().to_le_bytes());
        }
        DeValue::Float(number) => add_text(hash, b'f', number.as_str()),
        DeValue::Boolean(value) => hash.update([b'b', u8::from(*value)]),
        DeValue::Datetime(time) => add_text(hash, b'd', &time.to_string()),
        DeValue::Array(array) => {
            add_length(hash, b'a', array.len());
            array.iter().for_each(|element| add(hash, element.get_ref()));
        }
        DeValue::Table(table) => {
            add_length(hash, b't', table.len());
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.get_ref().cmp(b.get_ref()));
            for (key, value) in entries {
                add_text(hash, b'k', key.get_ref());
                add(hash, value.get_ref());
            }
        }
    }
}

/// Lengths keep what follows one another apart.
fn add_length(hash: &mut Sha256, kind: u8, length: usize) {
    hash.update([kind]);
    hash.update((length as u64).to_le_bytes());
}

fn add_text(hash: &mut Sha256, kind: u8, text: &str) {
    add_length(hash, kind, text.len());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(text: &str) -> [u8; 32] {
        of(DeTable::parse(text).unwrap().get_ref())
    }

    #[test]
    fn only_what_is_done_counts() {
        let job = "[workload.command]\nargv = ['a', '{input}']\nenv = { x = '1', y = '2' }\n";
        let same = identity(job);
        for other in [
            "model = 'threads'\n[workload.command]\nenv = { y = '2', x = '1' }\nargv = [\"a\", \"{input}\"] # b\n",
            &format!("[inputs]\nrepeat = 3\n[limits]\nconcurrency = 2\n{job}"),
        ] {
            assert_eq!(identity(other), same, "{other}");
        }
        for other in [
            "[workload.command]\nargv = ['a', '{input}', '']\nenv = { x = '1', y = '2' }\n",
            "[workload.command]\nargv = ['a{input}']\nenv = { x = '1', y = '2' }\n",
            "[workload.command]\nargv = ['a', '{input}']\nenv = { x = '12', y = '' }\n",
            &format!("{job}[columns.n]\njson = '/n'\n"),
            &format!("{job}[fields.x]\nvalue = 'a'\n"),
        ] {
            assert_ne!(identity(other), same, "{other}");
        }
    }
}
