//! The sources of `[inputs]`, and what is done to them before they become tasks.

use std::os::unix::ffi::OsStrExt;

use crate::support::{MODELS, TestJob, python};

/// Echoes the fields, so that `result` shows what a task was given.
fn job(inputs: &str, echo: &str) -> TestJob {
    TestJob::new(&format!(
        "[inputs]\n{inputs}\n[workload.command]\nargv = [\"printf\", \"%s\", \"{echo}\"]\n"
    ))
}

#[test]
fn values_are_scalars_or_tables() {
    job(r#"values = ["a b", 1.50, 7, true]"#, "{input}")
        .run()
        .exit(0)
        .rows("task,input,result", &["1,a b,a b", "2,1.50,1.50", "3,7,7", "4,true,true"]);
    job(r#"values = [{ a = 1, b = "x" }, { a = 2, b = "y" }]"#, "{a}-{b}")
        .run()
        .exit(0)
        .rows("a,b,result", &["1,x,1-x", "2,y,2-y"]);
    job(r"values = [1, { a = 1 }]", "x").run().exit(2);
}

#[test]
fn ranges_count_without_float_noise() {
    job("range = { from = 0, to = 0.5, step = 0.1 }", "{input}")
        .run()
        .exit(0)
        .rows("result", &["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
    job("range = { from = 3, to = 1, step = -1 }", "{input}")
        .run()
        .exit(0)
        .rows("result", &["3", "2", "1"]);
    job("range = { from = 1, to = 3, step = 0 }", "{input}").run().exit(2).stderr_has("step");
}

#[test]
fn lines_of_a_file_and_of_standard_input() {
    job("lines = \"in.txt\"", "{input}")
        .file("in.txt", "one\n two \n\nthree")
        .run()
        .exit(0)
        .rows("result,input", &["one,one", "two, two ", "three,three"]);
    job("lines = { file = \"in.txt\", blank = \"keep\" }", "<{input}>")
        .file("in.txt", "one\n\nthree")
        .run()
        .exit(0)
        .rows("result", &["<one>", "<>", "<three>"]);
    job("lines = \"-\"", "{input}").stdin("a\nb\n").run().exit(0).rows("result", &["a", "b"]);
    job("lines = \"-\"\nnull = true", "{input}")
        .stdin("a\nb\0c\0")
        .run()
        .exit(0)
        .rows("result", &["a\\nb", "c"]);
}

#[test]
fn a_csv_gives_a_field_per_column_and_a_bom_is_skipped() {
    let text = "\u{feff}name,size\r\n\"x, y\",3\n\"li\nne\",\"\"\"q\"\"\"\n";
    let ran = job("csv = \"in.csv\"", "{name}|{size}").file("in.csv", text).run();
    ran.exit(0).rows("name,size,result", &["x, y,3,x, y|3", "li\nne,\"q\",li\\nne|\"q\""]);
}

#[test]
fn a_bad_datum_costs_one_row() {
    let csv = "a,b\n1,2\n3\n\"x\"y,4\n5,6\n";
    for more in
        ["model = 'sequential'", "model = 'threads'", "model = 'processes'", "model = 'async'", ""]
    {
        let text = format!(
            "{more}\n[inputs]\ncsv = \"in.csv\"\nwhere = \"a > 0\"\n[workload.command]\nargv = [\"printf\", \"%s\", \"{{a}}\"]\n"
        );
        let ran = TestJob::new(&text).file("in.csv", csv).run();
        ran.exit(3).rows(
            "task,a,status,attempts,result",
            &["1,1,ok,1,1", "2,,failed,0,", "3,,failed,0,", "4,5,ok,1,5"],
        );
        let errors = ran.report().column("error");
        assert_eq!(errors[1], "`in.csv` line 3: expected 2 columns, found 1");
        assert!(errors[2].starts_with("`in.csv` line 4: a cell goes on"), "{errors:?}");
    }
    let python = "[inputs]\ncsv = \"in.csv\"\n[workload.python]\nfunction = \"builtins:len\"\nargs = [\"{a}\"]\n";
    TestJob::new(python)
        .file("in.csv", csv)
        .run()
        .exit(3)
        .rows("status,attempts,result", &["ok,1,1", "failed,0,", "failed,0,", "ok,1,1"]);
}

#[test]
fn a_bad_datum_stops_the_job_if_it_is_to() {
    let ran = job("csv = \"in.csv\"\nbad_input = \"stop\"", "{a}")
        .file("in.csv", "a,b\n1,2\n3\n4,5\n")
        .run();
    ran.exit(2).stderr_has("in.csv").stderr_has("line 3").rows("a,status", &["1,ok"]);
}

#[test]
fn a_longer_report_is_kept_when_a_bad_datum_stops_the_job() {
    let inputs = "csv = \"in.csv\"\nbad_input = \"stop\"";
    let whole = "a,b\n1,2\n3,4\n5,6\n7,8\n";
    let ran = job(inputs, "{a}").file("in.csv", whole).run();
    let old = std::fs::read(ran.exit(0).path("results/job.csv")).unwrap();
    // No task at all: report and state stay as they are, so that resuming runs nothing again.
    let again = TestJob::again(ran).file("in.csv", "a,b\n3\n1,2\n").arg("job.toml");
    let ran = again.run();
    ran.exit(2).stderr_has("`results/job.csv` is kept");
    assert_eq!(std::fs::read(ran.path("results/job.csv")).unwrap(), old);
    let again = TestJob::again(ran).file("in.csv", whole).args(["job.toml", "--resume"]);
    let ran = again.run();
    assert_eq!(std::fs::read(ran.exit(0).path("results/job.csv")).unwrap(), old);
    // Fewer tasks, with more to say: they are in the partial, which the state describes.
    let long = format!("a,b\n1,{}\n3\n5,6\n", "x".repeat(5000));
    let ran = TestJob::again(ran).file("in.csv", long).arg("job.toml").run();
    ran.exit(2).stderr_has("`results/job.csv` is kept").stderr_has("job.csv.partial");
    assert_eq!(std::fs::read(ran.path("results/job.csv")).unwrap(), old);
    let mended = format!("a,b\n1,{}\n3,4\n5,6\n", "x".repeat(5000));
    let ran = TestJob::again(ran).file("in.csv", mended).args(["job.toml", "--resume"]).run();
    ran.exit(0).rows("a,status", &["1,ok", "3,ok", "5,ok"]);
    assert!(ran.summary("job")["reason"].contains("resumed: 1 of 3 kept"));
    assert!(!ran.path("results/job.csv.partial").exists());
}

#[test]
fn a_bad_datum_is_known_to_resume_by_its_bytes() {
    let ran = job("csv = \"in.csv\"", "{a}").file("in.csv", "a,b\n1,2\n3\n").run();
    ran.exit(3);
    let ran = TestJob::again(ran)
        .file("in.csv", "a,b\n7,8\n3\n1,2\n")
        .args(["job.toml", "--resume"])
        .run();
    ran.exit(3).rows("task,a,status", &["1,7,ok", "2,,failed", "3,1,ok"]);
    let started = ran.report().column("started_utc");
    assert!(!started[0].is_empty() && started[1].is_empty());
}

#[test]
fn tables_of_spreadsheets_are_read_as_they_are() {
    let csv = "sep=;\r\nid;Größe;Größe;\r\n1;\"3,5 kg\";x;\r\n;;;\r\n2;4;y;\r\n";
    let encoded: Vec<u8> = csv.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [&b"\xff\xfe"[..], &encoded].concat();
    let ran = job("csv = \"in.csv\"", "{id} {Größe} {Größe_2}").file("in.csv", utf16).run();
    ran.exit(0)
        .rows("id,Größe,Größe_2,column_4,result", &["1,3,5 kg,x,,1 3,5 kg x", "2,4,y,,2 4 y"]);
    let latin = job(
        "csv = { file = \"in.csv\", encoding = \"windows-1252\", delimiter = \"|\" }",
        "{größe}",
    );
    latin.file("in.csv", b"id|gr\xf6\xdfe\n1|\x80\n").run().exit(0).rows("result", &["€"]);
}

#[test]
fn several_files_are_one_source_and_say_which() {
    let inputs = "csv = \"data/*.csv\"";
    let test = || job(inputs, "{b}{a}{file}").file("data/1.csv", "a,b\n1,2\n");
    test()
        .file("data/2.csv", "b;a\n4;3\n")
        .run()
        .exit(0)
        .rows("a,b,file,result", &["1,2,data/1.csv,21data/1.csv", "3,4,data/2.csv,43data/2.csv"]);
    test()
        .file("data/2.csv", "a\n3\n")
        .run()
        .exit(2)
        .stderr_has("data/2.csv")
        .stderr_has("no column `b`");
    job("lines = [\"x\", \"y\"]\nshuffle = 3", "{input}@{file}")
        .file("x", "1\n2\n")
        .file("y", "3\n")
        .args(["--set", "inputs.shuffle=5"])
        .run()
        .exit(0)
        .stderr_has("");
    job("csv = \"nowhere/*.csv\"", "x").run().exit(2).stderr_has("there is no folder `nowhere`");
}

#[test]
fn a_document_and_its_array() {
    let json = "{\"n\": 2, \"items\": [{\"id\": 1, \"tags\": [\"a\", \"b c\"]}, {\"id\": 2, \"tags\": []}]}";
    let ran = job("json = { file = \"in.json\", at = \"/items\" }", "{id:03} {tags/1}")
        .file("in.json", json)
        .run();
    ran.exit(3).rows("id,status,result", &["1,ok,001 b c", "2,failed,"]);
    assert!(ran.report().column("error")[1].contains("has nothing at `/1`"));
    job("json = \"in.json\"", "x")
        .file("in.json", json)
        .run()
        .exit(2)
        .stderr_has("set `at` to \"/items\"");
}

#[test]
fn blocks_are_whole_records_and_no_byte_is_lost() {
    let lines = (0..5000).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
    for (file, stdin) in [("in.txt", ""), ("-", &lines[..])] {
        let text = format!(
            "[inputs]\nblocks = {{ file = \"{file}\", size = \"10KB\" }}\n\
             [workload.command]\nshell = 'cat > \"part$block\"'\n"
        );
        let ran = TestJob::new(&text).file("in.txt", &lines).stdin(stdin).run();
        let report = ran.exit(0).report();
        let parts =
            (1..=report.rows.len()).map(|n| std::fs::read_to_string(ran.path(format!("part{n}"))));
        let parts: Vec<String> = parts.map(Result::unwrap).collect();
        assert!(parts.len() > 3 && parts.iter().all(|part| part.ends_with('\n')));
        let lengths: Vec<String> = parts.iter().map(|part| part.len().to_string()).collect();
        assert_eq!(report.column("length"), lengths);
        assert!(parts.concat() == lines, "the parts are not the file");
        assert_eq!(report.column("attempts")[0], "1");
    }
    job("blocks = { file = \"-\", parts = 2 }", "x").stdin("a").run().exit(2).stderr_has("`parts`");
}

#[test]
fn big_blocks_are_whole_at_each_attempt() {
    let lines = (0..300_000).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
    let inputs = "[inputs]\nblocks = { file = \"in.txt\", size = \"2MiB\" }\n[retry]\nmax_attempts = 2\ndelay = \"1ms\"\n";
    let command = "[workload.command]\nshell = 'cat > part$block.$RUNNER_ATTEMPT; test $RUNNER_ATTEMPT = 2'\n";
    let python = "[workload.python]\nfunction = \"builtins:len\"\n";
    for model in MODELS {
        let ran = TestJob::new(&format!("{inputs}{command}")).file("in.txt", &lines);
        let ran = ran.args(["--model", model]).run();
        let count = ran.exit(0).report().rows.len();
        for attempt in [1, 2] {
            let part = |n| std::fs::read_to_string(ran.path(format!("part{n}.{attempt}"))).unwrap();
            assert!((1..=count).map(part).collect::<String>() == lines, "{model} {attempt}");
        }
        let ran = TestJob::new(&format!("{inputs}{python}")).file("in.txt", &lines);
        let ran = ran.args(["--model", model]).run();
        let report = ran.exit(0).report();
        assert_eq!(report.column("result"), report.column("length"), "{model}");
    }
}

/// A big block is read again when its task starts: it is what it was, or a failure.
#[test]
fn big_blocks_have_their_header_and_are_never_those_of_another_file() {
    let lines = (0..300_000).map(|n| format!("line {n}\n")).collect::<Vec<_>>().concat();
    let text = "[inputs]\nblocks = { file = \"in.csv\", size = \"1MiB\", header = true }\n\
                [workload.command]\nshell = 'cat > part$block; test $block != 1 || while ! test -e changed; do sleep 0.01; done'\n\
                [limits]\nconcurrency = 1\n";
    for mark in ["", "\u{feff}"] {
        let job =
            TestJob::new(text).file("in.csv", format!("{mark}head\n{lines}")).file("changed", "");
        let ran = job.run();
        let report = ran.exit(0).report();
        let part = |n| std::fs::read_to_string(ran.path(format!("part{n}"))).unwrap();
        let parts: Vec<String> = (1..=report.rows.len()).map(part).collect();
        assert!(parts.len() > 2 && parts.iter().all(|part| part.starts_with("head\n")));
        let rest: String = parts.iter().map(|part| &part["head\n".len()..]).collect();
        assert!(rest == lines, "{mark:?}");
        let first = mark.len() + "head\n".len();
        assert_eq!(report.column("offset")[0], first.to_string());
    }
    let running = TestJob::new(text).file("in.csv", format!("head\n{lines}")).spawn();
    running.wait_for_file("part1", |_| true);
    // In place, so that it is the same file.
    let path = running.folder().join("in.csv");
    let mut other = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::io::Write::write_all(
        &mut other,
        format!("head\n{}", lines.replace("line", "LINE")).as_bytes(),
    )
    .unwrap();
    std::fs::write(running.folder().join("changed"), "").unwrap();
    let ran = running.wait();
    let report = ran.report();
    let ends = report.column("status").into_iter().zip(report.column("error"));
    for (block, (status, error)) in (1..).zip(ends) {
        // The reader may not have come to the last ones before the change.
        if status == "ok" {
            let part = std::fs::read_to_string(ran.path(format!("part{block}"))).unwrap();
            assert!(block > 1 || part.contains("line"));
            assert!(!(part.contains("line") && part.contains("LINE")), "{block} has parts of both");
        } else {
            let why = "the file has changed since it was cut into blocks";
            assert!(status == "failed" && error.contains(why), "{block} {status} {error}");
        }
    }
}

#[test]
fn a_batch_is_several_inputs() {
    let text = "[inputs]\nlines = \"in.txt\"\nbatch = 2\n[workload.command]\nargv = [\"sh\", \"-c\", \"echo $# $*\", \"_\", \"{input.stem}\"]\n";
    let ran = TestJob::new(text).file("in.txt", "a.x\nb c.x\nd.x\n").run();
    ran.exit(0)
        .rows("input,batch_size,result", &["[\"a.x\",\"b c.x\"],2,2 a b c", "[\"d.x\"],1,1 d"]);
    let python =
        "[inputs]\nvalues = [1, 2, 3]\nbatch = 2\n[workload.python]\nfunction = \"builtins:sum\"\n";
    TestJob::new(python).run().exit(0).rows("result", &["3", "3"]);
    let shell = "[inputs]\nvalues = [1, 2, 3]\nbatch = 3\n[workload.command]\nshell = 'echo \"$input\" | wc -l'\n";
    TestJob::new(shell).run().exit(0).rows("result", &["3"]);
    let url = "[inputs]\nvalues = [1, 2]\nbatch = 2\n[workload.http]\nurl = \"http://127.0.0.1/{input}\"\n";
    TestJob::new(url).run().exit(2).stderr_has("`url` needs one value");
}

#[test]
fn fields_are_made_from_fields() {
    let text = "[inputs]\nlines = \"in.txt\"\nwhere = \"year > 2000\"\n[fields.out]\nvalue = \"{input.base}-{year}.png\"\n\
                [fields.year]\nfrom = \"input\"\nregex = '(\\d{4})'\n[workload.command]\nargv = [\"echo\", \"{out}\"]\n";
    let ran = TestJob::new(text).file("in.txt", "d/a1999.txt\nd/b2001.txt\nno\n").run();
    ran.exit(0)
        .rows("input,year,out,result", &["d/b2001.txt,2001,d/b2001-2001.png,d/b2001-2001.png"]);
    ran.stderr_has("1 cell");
}

#[test]
fn sources_go_into_a_matrix() {
    let text =
        "matrix = { lr = [0.1, 0.01], file = { glob = \"in/*\" }, user = { csv = \"users.csv\" } }";
    let ran = job(text, "{lr} {file} {name}{id}")
        .file("in/a", "")
        .file("in/b", "")
        .file("users.csv", "id,name\n1,x\n")
        .run();
    ran.exit(0).rows("result", &["0.1 in/a x1", "0.1 in/b x1", "0.01 in/a x1", "0.01 in/b x1"]);
    let text = "zip = { line = { lines = \"-\" }, n = [1, 2] }";
    job(text, "{line}{n}").stdin("a\nb\n").run().exit(0).rows("result", &["a1", "b2"]);
    job(text, "{line}{n}")
        .stdin("a\nb\nc\n")
        .run()
        .exit(2)
        .stderr_has("not equally long")
        .rows("result", &["a1", "b2"]);
}

#[test]
fn lists_that_go_together_are_one_source_of_a_matrix() {
    let text =
        |pair: &str| format!("matrix = {{ pair = {{ zip = {{ {pair} }} }}, c = ['p', 'q'] }}");
    let all = ["x1p", "x1q", "y2p", "y2q"];
    job(&text("a = ['x', 'y'], b = [1, 2]"), "{a}{b}{c}").run().exit(0).rows("result", &all);
    job(&text("a = { lines = '-' }, b = [1, 2]"), "{a}{b}{c}")
        .stdin("x\ny\n")
        .run()
        .exit(0)
        .rows("result", &all);
    job(&text("a = ['x'], b = [1, 2]"), "{a}").run().exit(2).stderr_has("equally long");
    job(&text("a = ['x'], c = [1]"), "{a}").run().exit(2).stderr_has("the field `c` twice");
    let last = "matrix = { c = ['p', 'q'], pair = { zip = { a = ['x', 'y'], b = [1, 2] } } }";
    let ran = job(last, "{a}{b}{c}").run();
    ran.exit(0).rows("c,a,b,result", &["p,x,1,x1p", "p,y,2,y2p", "q,x,1,x1q", "q,y,2,y2q"]);
}

#[test]
fn words_are_read_as_xargs_reads_them() {
    let text = "one  'two words'\n\n\tthree\\ four \"fi\"ve ''\n'open\nsix\n";
    let ran = job("lines = { file = '-', words = true }\nskip = 1", "<{input}>").stdin(text).run();
    let said = "standard input line 4: a quote that is not closed in its line";
    ran.exit(3).rows(
        "task,result,error",
        &[
            "1,<two words>,",
            "2,<three four>,",
            "3,<five>,",
            "4,<>,",
            &format!("5,,{said}"),
            "6,<six>,",
        ],
    );
    for other in ["null = true", "separator = ','", "regex = '(?<x>.)'", "blank = 'keep'"] {
        let source = format!("lines = {{ file = 'x', words = true, {other} }}");
        let key = other.split(' ').next().unwrap();
        let said = format!("`words` says what an input is, and so does `{key}`");
        job(&source, "x").file("x", "").run().exit(2).stderr_has(&said);
    }
}

#[test]
fn a_bad_datum_of_any_source_of_a_matrix_is_a_failed_row() {
    let csv = "p,q\n1,2\n3\n4,5\n";
    let whole = "`x.csv` line 3: expected 2 columns, found 1";
    for (model, (source, more)) in MODELS.into_iter().zip(
        [
            ("matrix = { s = [1, 2], c = { csv = \"x.csv\" } }", ""),
            ("matrix = { s = { repeat = 2 }, c = { csv = \"x.csv\" } }", "where = \"p > 0\""),
            ("matrix = { s = { lines = \"s\" }, c = { csv = \"x.csv\" } }", "where = \"s > 0\""),
        ]
        .into_iter()
        .cycle(),
    ) {
        let text = format!(
            "model = '{model}'\n[inputs]\n{source}\n{more}\n[workload.command]\nargv = [\"printf\", \"%s\", \"{{s}}{{p}}{{q}}\"]\n"
        );
        let ran = TestJob::new(&text).file("x.csv", csv).file("s", "1\n2\n").run();
        ran.exit(3).rows(
            "task,p,status,attempts,result",
            &[
                "1,1,ok,1,112",
                "2,,failed,0,",
                "3,4,ok,1,145",
                "4,1,ok,1,212",
                "5,,failed,0,",
                "6,4,ok,1,245",
            ],
        );
        let errors = ran.report().column("error");
        assert_eq!((&errors[1][..], &errors[4][..]), (whole, whole), "{model} {source}");
        let ran = TestJob::again(ran).args(["job.toml", "--resume"]).run();
        ran.exit(3).rows("status", &["ok", "failed", "ok", "ok", "failed", "ok"]);
        assert!(ran.summary("job")["reason"].contains("resumed: 6 of 6 kept"));
    }
}

#[test]
fn a_bad_datum_beside_a_list_counts_and_can_stop_the_job() {
    let test = |inputs: &str| job(inputs, "{s}{p}").file("x.csv", "p,q\n1,2\n3\n4,5\n");
    let zip = "zip = { s = [1, 2, 3], c = { csv = \"x.csv\" } }";
    test(zip).run().exit(3).rows("status,result", &["ok,11", "failed,", "ok,34"]);
    let matrix = "matrix = { s = [1, 2], c = { csv = \"x.csv\" } }";
    for source in [zip, matrix] {
        let ran = test(&format!("{source}\nbad_input = \"stop\"")).run();
        ran.exit(2).stderr_has("`x.csv` line 3").rows("status,result", &["ok,11"]);
    }
    test(&format!("{matrix}\nskip = 1\nlimit = 2"))
        .run()
        .exit(3)
        .rows("status,result", &["failed,", "ok,14"]);
    test(&format!("{matrix}\nbatch = 2")).run().exit(3).rows(
        "p,status,attempts",
        &["[\"1\"],ok,1", ",failed,0", "[\"4\",\"1\"],ok,1", ",failed,0", "[\"4\"],ok,1"],
    );
    test(&format!("{matrix}\nshuffle = 3")).run().exit(3);
}

#[test]
fn a_huge_matrix_is_shuffled_at_once() {
    let list = (0..2000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let text =
        format!("matrix = {{ a = [{list}], b = [{list}], c = [{list}] }}\nshuffle = 1\nlimit = 3");
    job(&text, "{tasks} {a}").run().exit(0).rows("status", &["ok", "ok", "ok"]);
}

#[test]
fn a_signal_ends_a_search_that_finds_nothing() {
    let running =
        job("range = { from = 1, to = 1000000000000 }\nwhere = \"input < 0\"", "x").spawn();
    running.wait_for_file("results/job.csv.partial", |_| true);
    running.signal(15);
    assert_eq!(running.wait().output.status.code(), Some(143));
}

#[test]
fn a_pipe_without_a_writer_ends_with_a_signal() {
    let test = job("lines = \"pipe\"", "{input}");
    let path = test.folder().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o600),
        0,
    )
    .unwrap();
    let running = test.spawn();
    running.wait_for_file("results/job.csv.partial", |_| true);
    running.signal(15);
    assert_eq!(running.wait().output.status.code(), Some(143));
}

#[test]
fn what_a_shell_does_not_name_costs_nothing() {
    let csv = format!("id,geom\n1,{}\n2,y\n", "x".repeat(150_000));
    let shell = |text: &str| {
        TestJob::new(&format!("[inputs]\ncsv = \"in.csv\"\n[workload.command]\nshell = '{text}'\n"))
            .file("in.csv", &csv)
            .run()
    };
    shell("echo \"$id\"").exit(0).rows("result", &["1", "2"]);
    let named = shell("echo \"${geom}\" | wc -c");
    named.exit(3).rows("status", &["failed", "ok"]);
    assert!(named.report().column("error")[0].contains("`$geom` has 150000 bytes"));
    shell("echo \"$di\"")
        .exit(0)
        .stderr_has("nothing sets `$di`")
        .stderr_has("did you mean `$id`?");
}

#[test]
fn check_says_how_a_source_was_understood() {
    let ran = TestJob::new(
        "[inputs]\ncsv = \"in.csv\"\n[workload.command]\nargv = [\"echo\", \"{id}\"]\n",
    )
    .file("in.csv", "id;name\n1;Ann\n2\n3;Bo\n");
    let planned = ran.args(["--dry-run"]).run();
    planned.stdout_has("job: 3 tasks, 1 of which cannot be used, the first as they would run");
    let ran = TestJob::again(planned).args(["check", "job.toml"]).run();
    ran.exit(0);
    for said in [
        "delimiter    `;`",
        "3, 1 of which cannot be used",
        "id, name",
        "id=1  name=Ann",
        "`in.csv` line 3: expected 2 columns",
    ] {
        ran.stdout_has(said);
    }
}

#[test]
fn no_input_can_be_fine_and_says_what_came_near() {
    job("glob = \"in/*.TXT\"", "x")
        .file("in/a.txt", "")
        .run()
        .exit(4)
        .stderr_has("but there is `in/a.txt`");
    job("glob = \"in/*.TXT\"\nempty = \"ok\"", "x").run().exit(0);
    job("csv = \"in.csv\"", "x")
        .file("in.csv", "a,b\n")
        .run()
        .exit(4)
        .stderr_has("`in.csv` has no record");
}

#[test]
fn what_finds_nothing_says_what_is_there_and_the_way_out() {
    for (inputs, said) in [
        ("glob = \"d/*\"", "no file matches `d/*`, only folders do: `d/*/` finds them"),
        ("glob = \"d/**\"", "no file matches `d/**`, only folders do: `d/**/` finds them"),
        ("glob = \"e/*/\"", "no folder matches `e/*/`, only files do: `e/*` finds them"),
        ("glob = \"d/*.x\"", "no file matches `d/*.x`: `d` has `s` and 0 more"),
        (
            "glob = \"h/*\"",
            "no file matches `h/*`: `h` has only hidden names, which `hidden = true` finds",
        ),
        (
            "blocks = { file = \"head.csv\", header = true }",
            "`head.csv` has nothing after its header line",
        ),
        ("blocks = { file = \"empty.csv\" }", "`empty.csv` is empty"),
    ] {
        job(inputs, "x")
            .file("d/s/.a", "")
            .file("d/.git/a", "")
            .file("e/a", "")
            .file("h/.a", "")
            .file("head.csv", "a,b\n")
            .file("empty.csv", "")
            .run()
            .exit(4)
            .stderr_has(said);
    }
    for (text, what, has_way_out) in [
        ("{\n  \"a\": 1\n}\n", "not JSON: EOF while parsing an object (column 1)", true),
        ("[\n  {\n  }\n]", "expected an object, found an array", true),
        ("{\"a\": ", "not JSON: EOF while parsing a value (column 5)", false),
    ] {
        let ran = job("jsonl = \"in.jsonl\"", "x").file("in.jsonl", text).run();
        ran.exit(2).stderr_has(&format!("`in.jsonl` line 1: {what}"));
        let way_out =
            ": one over several lines is not JSON Lines: `json` reads a document with an array";
        assert_eq!(ran.stderr().contains(way_out), has_way_out, "{}", ran.stderr());
    }
    job("csv = \"in.csv\"\nbatch = 2", "x")
        .file("in.csv", "batch_size\n1\n")
        .run()
        .exit(2)
        .stderr_has("the inputs have a field `batch_size`")
        .stderr_has("give the field another name: `header` of `csv` can");
}

#[test]
fn batches_are_batched_again() {
    let sizes = "[workload.command]\nargv = ['echo', '{input_batch_size}', '{batch_size}']\n";
    let ran = TestJob::empty()
        .file("a.toml", "inputs = { range = { from = 1, to = 5 }, batch = 2 }\nworkload.sleep.duration = '1ms'\n")
        .file("b.toml", format!("inputs = {{ job = 'a', batch = 2, where = 'input_batch_size > 0' }}\n{sizes}"))
        .file("c.toml", format!("inputs = {{ job = 'b', batch = 9 }}\n{}", sizes.replace("{b", "{input_input_batch_size}{b")))
        .args(["a.toml", "b.toml", "c.toml"])
        .run();
    ran.exit(0);
    let b = ran.report_of("b");
    assert_eq!(b.select("batch_size,result"), ["2,2 2 2", "1,1 1"]);
    assert_eq!(ran.report_of("c").column("batch_size"), ["2"]);
}

#[test]
fn what_a_call_writes_itself_is_no_input() {
    let command = "[workload.command]\nargv = ['echo', '{input}']\n[report]\nlogs = 'all'\nalso = ['html']\n\
                   [services.s]\nargv = ['sleep', '100']\n";
    let folders = TestJob::empty()
        .file("a.csv", "x\n1\n")
        .file("b/j.csv", "x\n1\n")
        .file("results/other.csv", "x\n1\n");
    let mut job = folders
        .file("j.toml", format!("inputs = {{ glob = {{ pattern = '**/*', hidden = true, except = '.stderr' }} }}\n{command}"))
        .file("k.toml", "inputs.glob = '**/*.csv*'\nworkload.command.argv = ['echo', '{input}']\n")
        .file("m.toml", "inputs.csv = '**/*.csv'\nworkload.command.argv = ['echo', '{file}']\n");
    for _ in 0..2 {
        let ran = job.args(["j.toml", "k.toml", "m.toml", "--jobs", "3"]).run();
        ran.exit(0);
        let all = ["a.csv", "b/j.csv", "j.toml", "k.toml", "m.toml", "results/other.csv"];
        assert_eq!(ran.report_of("j").column("input"), all);
        let tables = ["a.csv", "b/j.csv", "results/other.csv"];
        assert_eq!(ran.report_of("k").column("input"), tables);
        assert_eq!(ran.report_of("m").column("file"), tables);
        job = TestJob::again(ran);
    }
}

#[test]
fn reports_of_jobs_that_are_needed_are_inputs() {
    let echo = "workload.command.argv = ['echo', '{input}']\n";
    let ran = TestJob::empty()
        .file("first.toml", "[workload.command]\nargv = ['echo', 'x']\n[report]\nlogs = 'all'\n")
        .file("beside.toml", "workload.sleep.duration = '1ms'\n")
        .file(
            "job.toml",
            format!(
                "needs = ['first']\ninputs.glob = ['results/*.csv', 'results/first.logs/*.out']\n{echo}"
            ),
        )
        .file(
            "named.toml",
            format!("needs = ['first']\ninputs.glob = 'results/summary.csv'\n{echo}"),
        )
        .file("none.toml", format!("inputs.glob = 'results/[n]one.csv*'\n{echo}"))
        .args(["beside.toml", "first.toml", "job.toml", "named.toml"])
        .run();
    ran.exit(0);
    let inputs = ran.report().column("input");
    assert_eq!(inputs, ["results/first.csv", "results/first.logs/1.out"]);
    assert_eq!(ran.report_of("named").column("input"), ["results/summary.csv"]);
    let ran = TestJob::again(ran).file("results/none.csv", "x\n").arg("none.toml").run();
    ran.exit(4)
        .stderr_has("no file matches `results/[n]one.csv*` but what this call itself writes");
}

#[test]
fn what_has_left_out_all_inputs_is_said() {
    for (inputs, said) in [
        ("csv = \"x.csv\"\nwhere = \"a == 9\"", "`where` leaves out all 2 inputs"),
        ("csv = \"x.csv\"\nskip = 5\nshuffle = 1", "`skip` leaves out all 2 inputs"),
        (
            "csv = \"x.csv\"\nskip = 1\nwhere = \"a == 1\"",
            "`where` and `skip` leave out all 2 inputs",
        ),
        ("csv = \"x.csv\"\nlimit = 0", "the limit is 0"),
        ("csv = \"x.csv\"\nwhere = \"a == 9\"\nbatch = 2", "`where` leaves out all 2 inputs"),
        ("repeat = 1\nskip = 3", "`skip` leaves out the only input"),
        ("repeat = 3\nwhere = \"input > 3\"", "`where` leaves out all 3 inputs"),
        ("csv = \"none.csv\"\nskip = 1", "`none.csv` has no record"),
    ] {
        let test = job(inputs, "x").file("x.csv", "a,b\n1,2\n3,4\n").file("none.csv", "a,b\n");
        test.run().exit(4).stderr_has(&format!("nothing to run: {said}"));
    }
}

#[test]
fn a_truncated_gzip_is_a_row_behind_those_before_it() {
    let packed = python(
        "import gzip, sys; open(sys.argv[1], 'wb').write(gzip.compress(b''.join(b'%d\\n' % i for i in range(20000)))[:-3000])",
        [std::env::temp_dir().join(format!("runner-{}.gz", std::process::id()))],
    );
    assert_eq!(packed, "");
    let path = std::env::temp_dir().join(format!("runner-{}.gz", std::process::id()));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let text = "[inputs]\nlines = \"in.gz\"\n[workload.sleep]\nduration = \"0s\"\n";
    let ran = TestJob::new(text).file("in.gz", bytes).run();
    let report = ran.exit(3).report();
    let (status, error) = (report.column("status"), report.column("error"));
    assert_eq!(status.iter().filter(|status| *status != "ok").count(), 1);
    assert!(error.last().unwrap().contains("truncated"), "{:?}", error.last());
}

#[test]
fn json_lines() {
    let text = "{\"a\": 1.50, \"b\": \"x\"}\n{\"b\": null}\n{\"a\": [1, 2]}\n";
    job("jsonl = \"in.jsonl\"", "{a}{b}")
        .file("in.jsonl", text)
        .run()
        .exit(0)
        .rows("a,b", &["1.50,x", ",", "[1, 2],"]);
    let ran = job("jsonl = \"in.jsonl\"", "{a}").file("in.jsonl", "{\"a\": 1}\n[2]\n").run();
    ran.exit(3).rows("a,status", &["1,ok", ",failed"]);
    assert_eq!(
        ran.report().column("error")[1],
        "`in.jsonl` line 2: expected an object, found an array"
    );
}

#[test]
fn a_glob_takes_files_sorted_and_says_when_there_are_none() {
    let ran = job("glob = \"in/**/*.txt\"", "{input.name}|{input.stem}|{input.ext}|{input.dir}")
        .file("in/b.txt", "")
        .file("in/a.txt", "")
        .file("in/sub/c.txt", "")
        .file("in/.hidden/d.txt", "")
        .file("in/e.md", "")
        .run();
    ran.exit(0).rows(
        "input,result",
        &["in/a.txt,a.txt|a|txt|in", "in/b.txt,b.txt|b|txt|in", "in/sub/c.txt,c.txt|c|txt|in/sub"],
    );
    job("glob = \"none/*.txt\"", "x").run().exit(4);
}

#[test]
fn file_names_that_are_not_utf_8_reach_the_command_as_they_are() {
    let test = job("glob = \"in/*\"", "{input}").file("in/x", "");
    let name = std::ffi::OsStr::from_bytes(b"in/\xff y");
    std::fs::write(test.folder().join(name), "content").unwrap();
    let ran = test.args(["--set", "workload.command.argv=[\"cat\", \"{input}\"]"]).run();
    ran.exit(0).rows("result", &["", "content"]);
}

#[test]
fn a_matrix_varies_the_last_key_fastest_and_zip_goes_side_by_side() {
    job("matrix = { lr = [0.10, 0.01], seed = [1, 2] }", "{lr}/{seed}")
        .run()
        .exit(0)
        .rows("result", &["0.10/1", "0.10/2", "0.01/1", "0.01/2"]);
    job("zip = { a = [1, 2], b = [\"x\", \"y\"] }", "{a}{b}")
        .run()
        .exit(0)
        .rows("result", &["1x", "2y"]);
    job("zip = { a = [1, 2], b = [1] }", "{a}").run().exit(2).stderr_has("equally long");
}

#[test]
fn where_shuffle_skip_limit_apply_in_this_order() {
    let source = "range = { from = 1, to = 20 }";
    job(&format!("{source}\nwhere = \"input > 4 and input != 6 and input <= 9\""), "{input}")
        .run()
        .exit(0)
        .rows("task,result", &["1,5", "2,7", "3,8", "4,9"]);
    job(&format!("{source}\nskip = 3\nlimit = 2"), "{input}")
        .run()
        .exit(0)
        .rows("task,result", &["1,4", "2,5"]);
    let shuffled =
        || job(&format!("{source}\nshuffle = 7"), "{input}").run().exit(0).report().column("input");
    let mut order = shuffled();
    assert_eq!(order, shuffled(), "a seed gives one order");
    order.sort_by_key(|number| number.parse::<u32>().unwrap());
    assert_eq!(order, (1..=20).map(|number| number.to_string()).collect::<Vec<_>>());
    job(&format!("{source}\nwhere = \"inptu > 4\""), "x").run().exit(2).stderr_has("inptu");
}

#[test]
fn no_inputs_is_one_task() {
    TestJob::new("[workload.command]\nargv = [\"echo\", \"{task}-{attempt}-{job}-{slot}\"]\n")
        .run()
        .exit(0)
        .rows("task,result", &["1,1-1-job-1"]);
}

#[test]
fn fields_with_names_of_report_columns_are_prefixed() {
    job(r#"values = [{ status = "x", task = 9 }]"#, "{status}{input_task}{task}")
        .run()
        .exit(0)
        .rows("task,input_status,input_task,status,result", &["1,x,9,ok,x91"]);
}

#[test]
fn url_encoding() {
    job(r#"values = ["a b/ü&c"]"#, "{input.url}")
        .run()
        .exit(0)
        .rows("result", &["a%20b%2F%C3%BC%26c"]);
}

#[test]
fn relative_paths_start_at_the_job_file() {
    let ran = TestJob::empty()
        .file(
            "sub/job.toml",
            "[inputs]\nlines = \"in.txt\"\n[workload.command]\nargv = [\"cat\", \"{input}\"]\n",
        )
        .file("sub/in.txt", "data.txt\n")
        .file("sub/data.txt", "found")
        .arg("sub/job.toml")
        .run();
    ran.exit(0).rows("result", &["found"]);
}

#[test]
fn a_pipe_is_read_as_it_comes() {
    use std::io::Write;
    let mut running = job("lines = \"-\"", "{input}").spawn();
    let mut pipe = running.child.stdin.take().unwrap();
    pipe.write_all(b"first\n").unwrap();
    running.wait_for_file("results/job.csv.partial", |text| text.contains("first"));
    pipe.write_all(b"second\n").unwrap();
    drop(pipe);
    running.wait().exit(0).rows("result", &["first", "second"]);
}

/// `^` is the start of a line, wherever that is in the file.
#[test]
fn blocks_start_where_a_line_does() {
    let fasta = ">a\nACGT\nAC>GT\n>b\nTT\n>c\nGG\n";
    let text = "[inputs]\nblocks = { file = \"in.fa\", size = \"1B\", record_start = '^>' }\n\
         [workload.command]\nargv = [\"cat\"]\n";
    let ran = TestJob::new(text).file("in.fa", fasta).run();
    ran.exit(0).rows("result", &[">a\\nACGT\\nAC>GT", ">b\\nTT", ">c\\nGG"]);
}

/// An empty file among others has no row and needs no columns; alone it is no input.
#[test]
fn the_offset_of_a_block_is_its_place_in_the_file() {
    let text = |inputs: &str| {
        format!(
            "[inputs]\n{inputs}\n[workload.command]\nshell = \"cat > $block; dd if=in.txt bs=1 skip=$offset count=$length 2>/dev/null | cmp - $block\"\n"
        )
    };
    for inputs in [
        "blocks = { file = \"in.txt\", size = \"4B\" }",
        "blocks = { file = \"in.txt\", parts = 3 }\nshuffle = 1",
    ] {
        for mark in ["", "\u{feff}"] {
            let ran = TestJob::new(&text(inputs)).file("in.txt", format!("{mark}aaa\nbbb\nccc\n"));
            ran.run().exit(0);
        }
    }
}

#[test]
fn files_of_the_kernel_have_no_length_and_are_whole() {
    let enabled = "/sys/kernel/mm/transparent_hugepage/enabled";
    for path in ["/proc/self/comm", enabled, "/sys/kernel/profiling"] {
        if std::path::Path::new(path).exists() {
            job(&format!("lines = \"{path}\""), "x").run().exit(0).rows("status", &["ok"]);
        }
    }
}

#[test]
fn an_empty_table_is_no_input() {
    let table = |inputs: &str| {
        let text =
            format!("[inputs]\n{inputs}\n[workload.command]\nargv = [\"echo\", \"{{b}}\"]\n");
        TestJob::new(&text)
    };
    for names in
        [["1.csv", "2.csv", "3.csv"], ["2.csv", "1.csv", "3.csv"], ["2.csv", "3.csv", "1.csv"]]
    {
        let [empty, one, other] = names;
        let ran = table("csv = \"*.csv\"")
            .file(empty, "")
            .file(one, "a,b\n1,2\n")
            .file(other, "b,a\n3,4\n")
            .run();
        ran.exit(0);
        let mut rows = ran.report().select("a,b,status");
        rows.sort();
        assert_eq!(rows, ["1,2,ok", "4,3,ok"], "{names:?}");
    }
    let wrong =
        table("csv = \"*.csv\"").file("1.csv", "").file("2.csv", "a,b\n").file("3.csv", "a\n");
    wrong.run().exit(2).stderr_has("`3.csv`: has no column `b`, which `2.csv` has");
    table("csv = \"a.csv\"\nempty = \"ok\"").file("a.csv", "").run().exit(0);
    table("csv = \"a.csv\"").file("a.csv", "").run().exit(2).stderr_has("has no header row");
}

/// Frames of zstd follow each other like members of gzip, also those that are to be skipped.
#[test]
fn all_frames_of_a_zstd_file_are_read() {
    let frame = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    let skippable = [&b"\x50\x2a\x4d\x18\x04\0\0\0"[..], b"skip"].concat();
    let whole = [skippable, frame("1\n"), frame(""), frame("2\n3")].concat();
    let run = |bytes: &[u8]| job("lines = \"in.zst\"", "{input}").file("in.zst", bytes).run();
    run(&whole).exit(0).rows("input", &["1", "2", "3"]);
    let cut = run(&whole[..whole.len() - 3]);
    cut.exit(3).stderr_has("the zstd data ends before its end");
    let junk = run(&[&whole[..], b"junk"].concat());
    junk.exit(3).stderr_has("the zstd data is damaged");
}

/// What ends in the middle of a record is a row that says so, after those before it.
#[test]
fn standard_input_may_end_in_the_middle_of_a_record() {
    for (source, text, error) in [
        ("csv = \"-\"", "input,b\n1,2\n3", "standard input line 3: the last line has 1 column"),
        ("csv = \"-\"", "input,b\n1,2\n3,\"x", "standard input line 3: a quote opens here"),
        ("jsonl = \"-\"", "{\"input\":1}\n{\"inp", "standard input line 2: not JSON"),
        ("json = \"-\"", "[{\"input\":1},{\"inp", "standard input line 1: an element starts here"),
        ("json = \"-\"", "[{\"input\":1}", "standard input line 1: the document ends inside"),
    ] {
        let ran = job(source, "{input}").stdin(text).run();
        ran.exit(3).rows("input,status", &["1,ok", ",failed"]).stderr_has(error);
    }
}
