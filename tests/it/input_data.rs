//! What is in files of inputs is read whole, or said: nothing of it becomes a wrong task without a word.

mod unchanged;

use std::io::Write;
use std::path::Path;

use crate::support::{Ran, TestJob, python};

/// Prints `result` for each input.
fn job(inputs: &str, result: &str) -> TestJob {
    let command = format!("[workload.command]\nargv = [\"printf\", \"%s\", \"{result}\"]\n");
    TestJob::new(&format!("[inputs]\n{inputs}\n{command}"))
}

/// The errors of the rows, without those of rows that have none.
fn errors(ran: &Ran) -> Vec<String> {
    let errors = ran.report().column("error").into_iter();
    errors.filter(|error| !error.is_empty()).collect()
}

#[test]
fn half_a_name_is_never_found() {
    let lines = b"Gr\xf6\xdfe 12\nb 3\n";
    let regex = |regex: &str| {
        job(&format!("lines = {{ file = \"in\", regex = '{regex}' }}"), "{name}{n}")
            .file("in", lines)
            .run()
    };
    let ran = regex("(?P<name>.+) (?P<n>[0-9]+)");
    ran.exit(0).rows("result", &[r"Gr\xf6\xdfe12", "b3"]);
    let ran = regex(r"(?P<name>\w+) (?P<n>\d+)");
    ran.exit(3).rows("name,n,status", &[",,failed", "b,3,ok"]);
    assert!(errors(&ran)[0].contains("name the file's `encoding`"));

    let made = |regex: &str| {
        let text = format!(
            "[inputs]\ncsv = \"in\"\n[fields.q]\nfrom = \"name\"\nregex = '{regex}'\n\
             [workload.sleep]\nduration = \"0s\"\n"
        );
        TestJob::new(&text).file("in", b"name,x\nGr\xf6\xdfe,1\nab,2\n").run()
    };
    made("(.)$").exit(0).rows("q", &["e", "b"]);
    let ran = made("^[a-zA-Zäöüß]+");
    ran.exit(3).rows("x,q,status", &["1,,failed", "2,ab,ok"]);
    assert!(errors(&ran)[0].starts_with("`in` line 2: `name` has bytes that are not UTF-8"));
}

#[test]
fn what_may_be_the_text_that_is_wanted_is_not_left_out() {
    let test = job("csv = \"in\"\nwhere = \"name == 'Größe' and n > 1\"", "{n}");
    let ran = test
        .file("in", b"name,n\nGr\xf6\xdfe,1\nGr\xf6\xdfe,2\nGr\xc3\xb6\xc3\x9fe,3\nx,4\n")
        .run();
    ran.exit(3).rows("n,status", &["2,failed", "3,ok"]);
    assert!(errors(&ran)[0].contains("with `Größe`: name the file's `encoding`"));
    let test = job("csv = \"in\"\nwhere = \"name != 'x'\"", "{n}");
    test.file("in", b"name,n\nGr\xf6\xdfe,1\nx,2\n").run().exit(0).rows("n", &["1"]);
}

#[test]
fn a_field_that_cannot_be_made_shows_of_what() {
    let text = "[inputs]\ncsv = \"in.csv\"\n[fields.q]\nvalue = \"{a:03}\"\n\
                [workload.sleep]\nduration = \"0s\"\n";
    let ran = TestJob::new(text).file("in.csv", "a,b\n1,x\nz,y\n").run();
    ran.exit(3).rows("a,b,q,status", &["1,x,001,ok", "z,y,,failed"]);
    assert!(errors(&ran)[0].starts_with("`in.csv` line 3: `z` is not a whole number"));
    TestJob::again(ran).args(["job.toml", "--resume"]).run().exit(3);
}

#[test]
fn files_of_values_and_of_objects_are_one_source() {
    for (names, rows) in [
        ("\"a\", \"b\"", ["7|||a", "8|||a", "|1|2|b"]),
        ("\"b\", \"a\"", ["|1|2|b", "7|||a", "8|||a"]),
    ] {
        let ran = job(&format!("json = [{names}]"), "{input}|{q}|{r}|{file}")
            .file("a", "[7, \"8\"]")
            .file("b", "[{\"q\": 1, \"r\": 2}]")
            .run();
        ran.exit(0).rows("result", &rows);
    }
    let lines = |names: &str| {
        job(&format!("jsonl = [{names}]"), "{a}").file("x", "{\"a\":\n").file("y", "{\"a\": 1}\n")
    };
    lines("\"x\", \"y\"").run().exit(3).rows("a,status", &[",failed", "1,ok"]);
    lines("\"y\", \"x\"").run().exit(3).rows("a,status", &["1,ok", ",failed"]);
    lines("\"x\", \"x\"").run().exit(2).stderr_has("`x` line 1: not JSON");
}

/// What comes in two pieces is what comes in one.
#[test]
fn a_table_is_the_same_however_it_comes() {
    let pieces = |table: &str, cut: usize| {
        let mut running = job("csv = \"-\"", "x").spawn();
        let mut pipe = running.child.stdin.take().unwrap();
        pipe.write_all(&table.as_bytes()[..cut]).unwrap();
        pipe.flush().unwrap();
        std::thread::yield_now();
        let _ = pipe.write_all(&table.as_bytes()[cut..]); // it may have been refused already
        drop(pipe);
        running.wait()
    };
    for cut in [8, 13, 20] {
        let ran = pieces("a,b,c;d\n1,2,3;4\n5;6\n7;8\n", cut);
        let report = ran.exit(0).report();
        assert_eq!(report.column("a,b,c"), ["1,2,3", "5", "7"]);
        assert_eq!(report.column("d"), ["4", "6", "8"]);
        pieces("a;b;c,d\n1;2;3,4\n5;6;7,8\n", cut).exit(2).stderr_has("set `delimiter`");
    }
    // A header that only one splits is enough.
    let mut running = job("csv = \"-\"", "{b}").spawn();
    let mut pipe = running.child.stdin.take().unwrap();
    pipe.write_all(b"a;b\n1;x\n").unwrap();
    running.wait_for_file("results/job.csv.partial", |text| {
        text.contains(";x") || text.contains(",x")
    });
    drop(pipe);
    running.wait().exit(0).rows("a,b", &["1,x"]);
}

#[test]
fn a_header_of_empty_names_is_one() {
    let ran = job("csv = \"in\"", "{column_3}").file("in", ",,\n1,2,3\n").run();
    ran.exit(0).rows("column_1,column_2,column_3", &["1,2,3"]);
    let ran = job("csv = \"in\"", "{column_1}").file("in", "\n\"\"\nann\n\"\"\n\"b;o\"\n").run();
    ran.exit(0).rows("column_1", &["ann", "b;o"]);
}

#[test]
fn a_line_that_says_the_delimiter_is_one_of_those_before_the_header() {
    for (skipped, table) in [
        (0, "sep=;\nid;price\n1;2,5\n"),
        (1, "sep=;\nid;price\n1;2,5\n"),
        (1, "Title\nsep=;\nid;price\n1;2,5\n"),
        (2, "Title\nsep=;\nid;price\n1;2,5\n"),
        (2, "sep=;\r\nTitle\r\nid;price\r\n1;2,5\r\n"),
    ] {
        let csv = format!("csv = {{ file = \"in\", skip_lines = {skipped} }}");
        let ran = job(&csv, "{price}").file("in", table).run();
        ran.exit(0).rows("id,price", &["1,2,5"]);
    }
    for table in ["# a\nsep=;\nid;price\n1;2,5\n", "sep=;\n# a\n\nid;price\n1;2,5\n"] {
        let csv = "csv = { file = \"in\", comments = \"#\" }";
        job(csv, "{price}").file("in", table).run().exit(0).rows("id,price", &["1,2,5"]);
    }
}

#[test]
fn utf_16_without_a_mark_is_told_in_any_script() {
    for text in ["имя,город\nАнна,Москва\n", "a,b\n1,x\n2,y😀\n", "שם\nדנה\n", "a\nb\n"]
    {
        for (bytes, name) in
            [(u16::to_le_bytes as fn(u16) -> [u8; 2], "utf-16le"), (u16::to_be_bytes, "utf-16be")]
        {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
            for source in ["csv", "lines", "jsonl", "json"] {
                let ran = job(&format!("{source} = \"in\""), "{input}").file("in", &bytes).run();
                ran.exit(2).stderr_has(&format!("set `encoding = \"{name}\"`"));
            }
        }
    }
}

#[test]
fn a_document_is_json_before_and_after_its_array() {
    let read = |document: &str, at: &str| {
        job(&format!("json = {{ file = \"d\", at = \"{at}\" }}"), "{a}").file("d", document).run()
    };
    for before in [
        "{\"q\":tru,\"items\":[{\"a\":1}]}",
        "{\"q\":[1},\"items\":[{\"a\":1}]}",
        "{\"q\":,\"items\":[{\"a\":1}]}",
        "{\"q\":-,\"items\":[{\"a\":1}]}",
        "{\"q\":\"\\x\",\"items\":[{\"a\":1}]}",
        "{\"q\":\"\t\",\"items\":[{\"a\":1}]}",
        "{\"q\":01,\"items\":[{\"a\":1}]}",
        "{\"q\" 1,\"items\":[{\"a\":1}]}",
    ] {
        read(before, "/items").exit(2).stderr_has("line 1: not JSON before the array");
    }
    for after in
        ["\"q\":tru}", "\"next\":[1,,2]}", "}", "\"q\":1]", "5}", "\"q\":\"\\u12\"}", "\"q\" 1}"]
    {
        let ran = read(&format!("{{\"items\":[{{\"a\":1}}],{after}"), "/items");
        ran.exit(3).rows("a,status", &["1,ok", ",failed"]);
        assert!(
            errors(&ran)[0].contains("not JSON after the array"),
            "{after}: {:?}",
            errors(&ran)
        );
    }
    let sound = "{\"q\":[-0.5e+3,\"\\ud800\\n\",{\"\\ud800\":null}], \"n\":12 , \"items\":[[],[{\"a\":1}]],\"z\":7}";
    read(sound, "/items/1").exit(0).rows("a", &["1"]);
    for index in ["01", "+1", "2", "-1"] {
        read(sound, &format!("/items/{index}")).exit(2).stderr_has(&format!("has no `{index}`"));
    }
}

#[test]
fn a_pattern_is_that_of_a_shell() {
    let glob = |pattern: &str| {
        let mut test = job(&format!("glob = '{pattern}'"), "{input}");
        for name in [
            "c.txt",
            "1.txt",
            "é.txt",
            "sub/c.txt",
            "sub/x/c.txt",
            "other/c.txt",
            "{}.txt",
            "{1}.txt",
        ] {
            test = test.file(name, "");
        }
        test.run().exit(0).report().column("input").join(" ")
    };
    for (pattern, found) in [
        ("{,sub/}c.txt", "c.txt sub/c.txt"),
        ("{sub/**,other}/c.txt", "other/c.txt sub/c.txt sub/x/c.txt"),
        ("?.txt", "1.txt c.txt é.txt"),
        ("[é].txt", "é.txt"),
        ("[!c].txt", "1.txt é.txt"),
        ("[[:digit:]].txt", "1.txt"),
        ("{}.txt", "{}.txt"),
        ("{1}.txt", "{1}.txt"),
        ("{1{,\\}}}.txt", "{1}.txt"),
        ("sub/**/", "sub/ sub/x/"),
        ("s*/**/", "sub/ sub/x/"),
        ("**/x/", "sub/x/"),
    ] {
        assert_eq!(glob(pattern), found, "{pattern}");
    }
    let ran = job("glob = '{1..9}.txt'", "{input}").run();
    ran.exit(2).stderr_has("`{1..9}` is not understood: write `{1,…}`");
}

#[test]
fn a_folder_that_cannot_be_read_is_one_row_in_any_order() {
    for shuffle in ["", "\nshuffle = 3"] {
        let test = job(&format!("glob = \"*/*.txt\"{shuffle}"), "{input}");
        let test = test.file("a/1.txt", "").file("b/1.txt", "").file("c/1.txt", "");
        let closed = test.folder().join("b");
        set_mode(&closed, 0o000);
        if std::fs::read_dir(&closed).is_ok() {
            crate::support::skip("whoever may read all has no folder that cannot be read");
            set_mode(&closed, 0o755);
            return;
        }
        let ran = test.run();
        set_mode(&closed, 0o755);
        ran.exit(3);
        let status = ran.report().column("status");
        assert_eq!(status.iter().filter(|status| *status == "ok").count(), 2, "{status:?}");
        assert_eq!(errors(&ran).len(), 1);
    }
}

/// Whoever may read all gives that up, for this.
const CONFINED: &[&str] = &["setpriv", "--bounding-set=-dac_override,-dac_read_search"];

#[test]
fn a_folder_in_which_nothing_could_be_found_may_be_closed() {
    let closed = "lost+found";
    let run = |glob: &str| {
        let test = job(glob, "{input}").under(CONFINED);
        let test = test.file("2024a/1.csv", "input\n1\n").file(format!("{closed}/1.csv"), "x\n");
        let folder = test.folder().join(closed);
        set_mode(&folder, 0o000);
        let ran = test.run();
        set_mode(&folder, 0o755);
        ran
    };
    let seen = run("glob = \"*/*.csv\"");
    if seen.output.status.code() != Some(3) {
        crate::support::skip("without setpriv, whoever may read all has no closed folder");
        return;
    }
    assert!(errors(&seen)[0].contains("lost+found`: "), "{:?}", errors(&seen));
    for glob in [
        "glob = \"2024*/*.csv\"",
        "glob = \"2024*/**\"",
        "glob = \"{2024*/**/,x/y/}*.csv\"",
        "glob = { pattern = \"**/*.csv\", except = \"lost+found/**\" }",
        "glob = { pattern = \"**/*.csv\", except = \"l*/**/*\" }",
        "glob = { pattern = \"**/*.csv\", except = [\"x\", \"{y,./lost+found}/**\"] }",
        "glob = { pattern = \"./*/*.csv\", except = \"lost*/*\" }",
    ] {
        let ran = run(glob);
        let found = if glob.contains("./*/") { "./2024a/1.csv" } else { "2024a/1.csv" };
        ran.exit(0).rows("input", &[found]);
    }
    run("csv = \"2024*/*.csv\"").exit(0).rows("input", &["1"]);
    for glob in [
        "glob = { pattern = \"**/*.csv\", except = \"lost+found/*\" }",
        "glob = { pattern = \"**/*.csv\", except = \"lost+found/*.txt\" }",
        "glob = { pattern = \"**/*.csv\", except = \"lost+found\" }",
        "glob = \"**\"",
    ] {
        assert_eq!(errors(run(glob).exit(3)).len(), 1, "{glob}");
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn huge_lists_are_shuffled_and_skipped_at_once() {
    let range = "{ range = { from = 1, to = 100000000000 } }";
    let zip = format!("zip = {{ a = {range}, b = {range} }}\nshuffle = 5\nlimit = 2");
    let ran = job(&zip, "{a} {b}").run();
    let found = ran.exit(0).report();
    assert_eq!(found.column("a"), found.column("b"));
    assert_eq!(found.column("a").len(), 2);
    let skip = "repeat = 3000000000000\nshuffle = 5\nskip = 2999999999998";
    job(skip, "{input}").run().exit(0).rows("status", &["ok", "ok"]);
}

#[test]
fn a_signal_ends_a_batch_that_is_gathered() {
    let inputs = "range = { from = 1, to = 1000000000000 }\nbatch = 4000000000";
    let running = job(inputs, "x").spawn();
    running.wait_for_file("results/job.csv.partial", |_| true);
    running.signal(15);
    assert_eq!(running.wait().output.status.code(), Some(143));
}

#[test]
fn whole_records_before_a_break_are_a_block() {
    let script = "import gzip, sys; open(sys.argv[1], 'wb').write(\
        gzip.compress(b''.join(b'%d\\n' % (i * i * 7919) for i in range(20000)))[:-9000])";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.gz");
    assert_eq!(python(script, [path.as_os_str()]), "");
    let text = "[inputs]\nblocks = { file = \"in.gz\", size = \"10KB\" }\n[workload.command]\nargv = [\"wc\", \"-l\"]\n";
    let ran = TestJob::new(text).file("in.gz", std::fs::read(&path).unwrap()).run();
    let whole: u64 = ran
        .exit(3)
        .report()
        .column("result")
        .iter()
        .filter_map(|lines| lines.parse::<u64>().ok())
        .sum();
    let errors = errors(&ran);
    assert_eq!(errors.len(), 1);
    let broken = format!("line {}: the gzip data ends before its end", whole + 1);
    assert!(errors[0].contains(&broken), "{errors:?}, {whole} lines");
}

/// A kept row is that of the same bytes, which may be elsewhere now.
#[test]
fn what_is_kept_says_where_it_is_now() {
    let text = "[inputs]\nblocks = { file = \"in\", size = \"1B\" }\n[workload.command]\nargv = [\"cat\"]\n";
    let ran = TestJob::new(text).file("in", "1\n1\n22\n").run();
    ran.exit(0).rows("block,offset,length,result", &["1,0,2,1", "2,2,2,1", "3,4,3,22"]);
    let moved = TestJob::again(ran).file("in", "22\n1\n3\n1\n").args(["job.toml", "--resume"]);
    let ran = moved.run();
    let rows = ["1,1,0,3,22", "2,2,3,2,1", "3,3,5,2,3", "4,4,7,2,1"];
    ran.exit(0).rows("task,block,offset,length,result", &rows);
    TestJob::again(ran)
        .arg("job.toml")
        .run()
        .exit(0)
        .rows("task,block,offset,length,result", &rows);
}

#[test]
fn what_is_left_out_is_counted_as_it_is() {
    let ran =
        job("jsonl = \"in\"\nwhere = \"n != 1\"", "{n}").file("in", "{\"n\":1}\n{\"n\":\"abc\"}\n");
    let ran = ran.run();
    ran.exit(0).rows("n", &["abc"]);
    assert!(!ran.stderr().contains("left out"), "{}", ran.stderr());
    let ran = job("csv = \"in\"\nskip = 1", "{a}").file("in", "a,b\n1\n2\n3,4\n").run();
    ran.exit(3).stderr_has("1 input could not be used");
    let empty = job("csv = \"zz*.csv\"\nempty = \"ok\"", "x").run();
    empty.exit(0);
    let at = job("json = { file = \"in\", at = \"#/items\" }", "x").file("in", "[]").run();
    at.exit(2).stderr_has("write `at = \"/items\"`");
    let zip = job("zip = { a = [1], l = { csv = \"in\" } }", "x").file("in", "b\n\"1\n").run();
    let longer =
        job("zip = { l = { csv = \"in\" }, a = [1] }", "x").file("in", "b\n1\n\"1\n").run();
    longer.exit(2).stderr_has("a quote opens here");
    zip.exit(3);
}

#[test]
fn a_file_whose_lines_end_with_cr_alone_is_one_input_that_is_told() {
    let job = |options: &str| {
        format!(
            "inputs.lines = {{ file = 'in.txt'{options} }}\n[workload.command]\nargv = ['printf', '%s', '{{input}}']\n"
        )
    };
    let said = "`in.txt` has no end of a line but CR, so it is one input: `separator = \"\\r\"` splits it there";
    for (text, options, tasks, is_told) in [
        ("a\rb\rc\r", "", 1, true),
        ("a\rb", "", 1, true),
        ("a\rb", ", words = true", 1, true),
        ("a\rb\rc\r", ", separator = \"\\r\"", 3, false),
        ("a\rb\n", "", 1, false),
        ("a\r\nb\r", "", 2, false),
        ("a\nb\rc", "", 2, false),
        ("a\r", "", 1, false),
    ] {
        let ran = TestJob::new(&job(options)).file("in.txt", text).run();
        ran.exit(0);
        assert_eq!(ran.report().column("task").len(), tasks, "{text:?}");
        assert_eq!(ran.stderr().contains(said), is_told, "{text:?}: {}", ran.stderr());
        let checked = TestJob::again(ran).args(["check", "job.toml"]).run();
        let all = checked.stdout() + &checked.stderr();
        assert_eq!(all.contains("so it is one input"), is_told, "{text:?}: {all}");
    }
}
