//! Columns of commands see all output; results and errors have what a terminal would show at last.

use crate::support::{Ran, TestJob};

fn shell(script: &str, more: &str) -> Ran {
    let text = format!("[inputs]\nrepeat = 1\n[workload.command]\nshell = '''{script}'''\n{more}");
    TestJob::new(&text).run()
}

#[test]
fn a_column_sees_the_end_of_a_long_output() {
    let long = "seq 1 400000; echo accuracy=0.93";
    let columns = "[columns.acc]\nregex = 'accuracy=([0-9.]+)'\n[columns.first]\nregex = '^([0-9]+)'\n\
                   [columns.last]\nregex = '(?m)^([0-9]+)$'\ntake = \"last\"";
    shell(long, columns).exit(0).rows("acc,first,last", &["0.93,1,400000"]);
    shell("echo a=1; echo a=2", "[columns.a]\nregex = 'a=(.)'\ntake = \"last\"")
        .exit(0)
        .rows("a", &["2"]);
}

#[test]
fn a_number_is_never_cut_in_two() {
    let ran = shell(
        "head -c 65521 /dev/zero | tr '\\0' x; echo ' total=123456789 end'",
        "capture = \"64KiB\"\n[columns.total]\nregex = 'total=([0-9]+)'",
    );
    ran.exit(0).rows("total", &["123456789"]);
}

#[test]
fn what_needs_the_whole_output_fails_without_it() {
    let json = r#"printf '{"loss": 0.5, "all": ['; seq -s, 1 1000; echo ']}'"#;
    shell(json, "[columns.loss]\njson = \"/loss\"").exit(0).rows("loss", &["0.5"]);
    let ran = shell(json, "capture = \"1KiB\"\n[columns.loss]\njson = \"/loss\"");
    ran.exit(3).rows("status,loss", &["failed,"]);
    let error = &ran.report().column("error")[0];
    assert!(
        error.contains("column `loss`: its JSON cannot be read") && error.contains("3.8"),
        "{error}"
    );
    let ran = shell("seq 1 1000", "capture = \"1KiB\"\n[columns.x]\nregex = '(?s)1.*9'");
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("can match a line break"));
}

#[test]
fn a_column_reads_standard_error_and_files() {
    let column = "[columns.speed]\nregex = 'speed=([0-9.]+)'";
    shell("echo speed=5.6 >&2", &format!("{column}\nstream = \"stderr\""))
        .exit(0)
        .rows("speed,result", &["5.6,"]);
    shell("echo speed=5.6 >&2; exit 1", &format!("{column}\nstream = \"stderr\""))
        .exit(3)
        .rows("speed", &["5.6"]);
    shell("echo speed=5.6", &format!("stdout = \"out.txt\"\n{column}"))
        .exit(0)
        .rows("speed,result", &["5.6,"]);
    shell(
        "echo speed=5.6 >&2",
        &format!("stdout = \"o\"\nstderr = \"o\"\n{column}\nstream = \"stderr\""),
    )
    .exit(0)
    .rows("speed", &["5.6"]);
    let ran = shell("echo speed=5.6", &format!("stdout = \"/dev/null\"\n{column}"));
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("device"));
}

#[test]
fn progress_and_colours_are_gone() {
    let script = r#"printf "a 1%%\ra 50%%\ra 100%%\n\033[32mdone\033[0m\n""#;
    let columns = "[columns.n]\nregex = '(?m)^done'\n[columns.pct]\nregex = '(\\d+)%'";
    shell(script, columns).exit(0).rows("result,n,pct", &[r"a 100%\ndone,done,100"]);
    let long = format!("for i in $(seq 3000); do printf '\\r%d%%' $i; done; echo; {script}");
    let columns = format!("capture = \"1KiB\"\n{columns}\ntake = \"last\"");
    shell(&long, &columns).exit(0).rows("n,pct", &["done,100"]);
    // What `capture` cuts is followed to its last state.
    let bar = "for i in $(seq 3000); do printf '%d%%\\r' $i; done";
    for (script, result) in [
        (bar.to_owned(), "3000%"),
        (format!("{bar}; echo; echo done"), "3000%"),
        (format!("echo begin; {bar}; printf 'done\\n'; seq 3000"), r"begin\ndone"),
    ] {
        shell(&script, "capture = \"1KiB\"").exit(0).rows("result", &[result]);
    }
    let column = "[columns.n]\nregex = '(?m)^n=([0-9]+)'";
    for (text, cells) in [
        (r"n=1\033]0;never ended\n", "n=1,1"),
        (r"\357\273\277n=4\n", "n=4,4"),
        (r"\033]0;t n=7\302\234n=1\n", "n=1,1"),
        (r"n=123\033[1K\rn=4\n", "n=4,4"),
    ] {
        shell(&format!("printf '{text}'"), column).exit(0).rows("result,n", &[cells]);
    }
    let marked = format!("capture = \"100B\"\n{column}");
    shell(r"printf '\357\273\277n=4\n'; seq 1000", &marked).exit(0).rows("n", &["4"]);
}

#[test]
fn text_is_decoded_first() {
    let column = "[columns.name]\nregex = 'name=(.+)'";
    let latin = r"printf 'name=M\374ller\n'";
    shell(latin, &format!("encoding = \"latin1\"\n{column}"))
        .exit(0)
        .rows("name,result", &["Müller,name=Müller"]);
    let ran = shell(latin, column);
    ran.exit(0).rows("name", &["M\u{fffd}ller"]);
    assert!(
        ran.report().column("error")[0].starts_with("column `name` has bytes that are not UTF-8")
    );
    let wrong = "printf 'name=\\201\\n'";
    for more in ["", "capture = \"100B\"\n"] {
        let script = format!("{}{wrong}", if more.is_empty() { "" } else { "seq 1000; " });
        let ran = shell(&script, &format!("encoding = \"shift_jis\"\n{more}{column}"));
        ran.exit(0).rows("name", &["\u{fffd}"]);
        assert!(ran.report().column("error")[0].contains("are not Shift_JIS"));
    }
    let wide = r"printf 'n\0a\0m\0e\0=\0\374\0\n\0'";
    shell(wide, &format!("encoding = \"utf-16le\"\n{column}"))
        .exit(0)
        .rows("name,result", &["ü,name=ü"]);
    let long = format!("seq 1000; {latin}");
    shell(&long, &format!("encoding = \"latin1\"\ncapture = \"100B\"\n{column}"))
        .exit(0)
        .rows("name", &["Müller"]);
    // A byte order mark says it, too, unless an encoding is named.
    let marked = r"printf '\377\376n\0a\0m\0e\0=\0\374\0\n\0'";
    shell(marked, column).exit(0).rows("name,result", &["ü,name=ü"]);
    shell(&format!("{marked}; {}", r"printf 'e\0n\0d\0'"), "result = \"tail\"\n")
        .exit(0)
        .rows("result", &[r"name=ü\nend"]);
    let long = format!("{marked}; yes | head -c 100000 | tr -d '\\n' | sed 's/y/y\\x00/g'");
    shell(&long, &format!("capture = \"100B\"\nresult = \"tail\"\n{column}"))
        .exit(0)
        .rows("name", &["ü"]);
    shell(marked, &format!("encoding = \"utf-8\"\n{column}")).exit(0).rows("name", &[""]);
    let fails = format!("{marked} >&2; exit 1");
    let ran = shell(&fails, "");
    ran.exit(3).rows("error", &["exit code 1: name=ü"]);
    shell("true", "encoding = \"utf-9\"").exit(2).stderr_has("unknown encoding `utf-9`");
}

#[test]
fn a_byte_order_mark_is_seen_however_little_is_kept() {
    let wide = r"printf '\377\376n\0=\0007\0\n\0x\0x\0x\0'";
    let marked = r"printf '\357\273\277n=7\nxxx'";
    // As it may come from a slow program: byte by byte.
    let slow = r"for b in '\357' '\273' '\277n' '=7\n' x; do printf $b; sleep 0.01; done";
    let wide_slow = r"for b in '\377' '\376' 'n\0=\0007' '\0\n\0'; do printf $b; sleep 0.01; done";
    for script in [wide, marked, slow, wide_slow] {
        for capture in ["0B", "1B", "2B", "3B", "4B", "1KiB"] {
            let more = format!("capture = \"{capture}\"\n[columns.n]\nregex = '^n=(\\d+)'\n");
            let ran = shell(script, &more);
            ran.exit(0).rows("n", &["7"]);
            let result = &ran.report().column("result")[0];
            let shown = ["", "n", r"n=7\nxxx", r"n=7\nx", "n=7", "\u{fffd}"];
            assert!(shown.contains(&&**result), "{capture}: {result}");
            assert!(result != "\u{fffd}" || capture == "3B", "half a character, but no mark");
        }
    }
    for (script, text) in [(r"printf '\357\273'", "\u{fffd}"), ("printf n", "n"), ("true", "")] {
        for capture in ["0B", "1B", "1KiB"] {
            let more = format!("capture = \"{capture}\"\n[columns.n]\nregex = '^(.*)$'\n");
            shell(script, &more).exit(0).rows("n", &[text]);
        }
    }
    // What is a text by the encoding that is named stays one.
    for capture in ["0B", "4B", "1KiB"] {
        let more = format!(
            "encoding = \"latin1\"\ncapture = \"{capture}\"\n[columns.n]\nregex = '^(.+)n='\n"
        );
        shell(marked, &more).exit(0).rows("n", &["ï»¿"]);
    }
}

#[test]
fn the_result_may_be_the_end() {
    let ran = shell("seq 1 5000; echo done", "result = \"tail\"");
    let result = &ran.exit(0).report().column("result")[0];
    assert!(result.starts_with('…') && result.ends_with(r"5000\ndone"), "{result}");
    shell("true", "result = \"middle\"").exit(2).stderr_has("`head` or `tail`");
}

#[test]
fn an_error_keeps_its_end() {
    let warnings = "for i in $(seq 120); do echo \"warning: line $i of the input has no value, skipped\" >&2; done";
    let ran = shell(
        &format!("{warnings}; echo 'FATAL: the disk is full' >&2; exit 1"),
        "[retry]\nmax_attempts = 2\ndelay = \"1ms\"",
    );
    let error = &ran.exit(3).report().column("error")[0];
    assert!(
        error.starts_with("exit code 1: …") && error.ends_with("FATAL: the disk is full"),
        "{error}"
    );
    assert!(
        ran.stderr().contains("task 1 failed: exit code 1: FATAL: the disk is full\n"),
        "{}",
        ran.stderr()
    );
    let attempts = std::fs::read_to_string(ran.path("results/job.attempts.csv")).unwrap();
    assert_eq!(attempts.matches("FATAL").count(), 2);
    let ran = shell("seq 1 20000; echo 'FATAL: disk is full'; exit 1", "");
    assert!(ran.exit(3).report().column("error")[0].ends_with("FATAL: disk is full"));
}

#[test]
fn options_of_columns_are_checked() {
    for (column, words) in [
        ("json = \"/a\"\ntake = \"last\"", "`take` chooses among the matches of a `regex`"),
        ("regex = \"a\"\ntake = \"middle\"", "`first` or `last`"),
        ("regex = \"a\"\nstream = \"out\"", "`stdout` or `stderr`"),
    ] {
        shell("true", &format!("[columns.x]\n{column}")).exit(2).stderr_has(words);
    }
    TestJob::new("[inputs]\nvalues = [3]\n[workload.compute]\nfunction = \"factorial\"\n[columns.x]\nregex = \"6\"\nstream = \"stderr\"")
        .run()
        .exit(2)
        .stderr_has("`compute` has no streams");
}

/// An empty cell says why, where the output is not what the column reads.
#[test]
fn an_output_that_is_not_json_is_said() {
    let column = "[columns.a]\njson = \"/a\"";
    for (output, error) in [
        ("", "column `a` is empty: the output is empty"),
        ("warning: x\n{\"a\":1}", "column `a` is empty: the output is not JSON: "),
        (
            "{\"a\":1}\n{\"a\":2}",
            "column `a` is empty: the output is not JSON: trailing characters",
        ),
        ("{\"b\":1}", ""),
        ("{\"a\":null}", ""),
    ] {
        let ran = shell(&format!("printf '%s' '{output}'"), column);
        let report = ran.exit(0).report();
        let found = &report.column("error")[0];
        assert!(
            found.starts_with(error) && found.is_empty() == error.is_empty(),
            "{output}: {found}"
        );
    }
}

#[test]
fn a_page_without_end_costs_its_column_only() {
    for page in ["<table><tr><td>", "<div>"] {
        let script = format!("yes '{page}' | head -n 6000");
        let ran = shell(&script, "[columns.t]\nhtml = \"td, div\"");
        ran.exit(0).rows("status,t", &["ok,"]);
        let error = &ran.report().column("error")[0];
        assert!(
            error.contains("column `t` is empty: elements nested more than 2000 deep"),
            "{error}"
        );
    }
}

#[test]
fn json_is_read_past_what_it_does_not_need() {
    let columns = "[columns.b]\njson = \"/b\"\ntotal = true";
    shell(r#"printf '%s' '{"a":"x\ud83d","b":1.10}'"#, columns).exit(0).rows("b", &["1.10"]);
    let ran = shell(r#"printf '%s' '{"b":1e400}'"#, columns);
    ran.exit(0).rows("b", &["1e400"]).stderr_has("1 cell is not a number in the column `b`");
    let ran = shell(r#"printf '%s' '{"b":"x\ud83d"}'"#, columns);
    ran.exit(0).rows("b", &[""]);
    let error = &ran.report().column("error")[0];
    assert!(error.contains("half a surrogate pair"), "{error}");
}

/// As `querySelector` finds it: a browser moves what may not stand in a table to before it.
#[test]
fn the_first_element_is_that_of_the_page() {
    let page = "<table><tr><td class=p>10 (was)</td></tr><div class=p>8 (now)</div></table>";
    let ran = shell(&format!("echo '{page}'"), "[columns.t]\nhtml = \".p\"");
    ran.exit(0).rows("t", &["8 (now)"]);
}
