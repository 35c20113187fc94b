//! Texts are read in their own charset, as Python wrote them; what is not sure is said.

use std::collections::BTreeMap;

use super::MODELS;
use super::raw::{Raw, ok};
use crate::support::{TestJob, python};

/// Pages as Python writes them: a line is a charset as the web calls it, where it is said, the body and its title, all but
/// the first two in hex.
const PAGES: &str = r#"
titles = {
    "utf-8": ("utf-8", "Grüße, 日本 – €"), "utf-16le": ("utf-16-le", "Grüße, 日本"), "utf-16be": ("utf-16-be", "Grüße"),
    "iso-8859-1": ("cp1252", "Größe — “x” €"), "us-ascii": ("cp1252", "Größe"), "latin1": ("latin-1", "Größe"),
    "iso-8859-2": ("iso8859-2", "Zażółć gęślą jaźń"), "iso-8859-3": ("iso8859-3", "Ĝĉĥŭ"),
    "iso-8859-4": ("iso8859-4", "Āčēģ"), "iso-8859-5": ("iso8859-5", "Привет"), "iso-8859-6": ("iso8859-6", "مرحبا"),
    "iso-8859-7": ("iso8859-7", "Γειά σου"), "iso-8859-8": ("iso8859-8", "שלום"), "iso-8859-9": ("cp1254", "İğüş"),
    "iso-8859-10": ("iso8859-10", "Þórður ŋ"), "iso-8859-13": ("iso8859-13", "Žąsis"),
    "iso-8859-14": ("iso8859-14", "Ŵŷ"), "iso-8859-15": ("iso8859-15", "Œuvre €"), "iso-8859-16": ("iso8859-16", "Ștefan"),
    "windows-1250": ("cp1250", "Příliš žluťoučký"), "windows-1251": ("cp1251", "Привет"), "windows-1252": ("cp1252", "Œ €"),
    "windows-1253": ("cp1253", "Γειά"), "windows-1254": ("cp1254", "İğüş"), "windows-1255": ("cp1255", "שלום"),
    "windows-1256": ("cp1256", "سلام"), "windows-1257": ("cp1257", "Šešios"), "windows-1258": ("cp1258", "Đăng ơư"),
    "windows-874": ("cp874", "สวัสดี"), "tis-620": ("tis-620", "สวัสดี"), "koi8-r": ("koi8-r", "Привет"),
    "koi8-u": ("koi8-u", "Їжак"), "macintosh": ("mac_roman", "Größe"), "x-mac-cyrillic": ("mac_cyrillic", "Привет"),
    "ibm866": ("cp866", "Привет"), "gbk": ("gbk", "中文"), "gb2312": ("gb2312", "中文"), "gb18030": ("gb18030", "中文 ₿"),
    "big5": ("big5", "中文測試"), "euc-jp": ("euc_jp", "日本語"), "shift_jis": ("cp932", "日本語①"),
    "iso-2022-jp": ("iso2022_jp", "日本語"), "euc-kr": ("cp949", "한국어 똠"),
}
for name, (codec, title) in titles.items():
    wide = name.startswith("utf-16")
    page = lambda head: ("<html><head>%s<title>%s</title></head><body><p>x</p>" % (head, title)).encode(codec)
    rows = [("header", page(""))]
    if not wide:
        rows.append(("meta", page('<meta charset="%s">' % name)))
        rows.append(("equiv", page("<!-- charset=x --><meta http-equiv='Content-Type' content='text/html; charset=%s'>" % name)))
    if name.startswith("utf"):
        rows.append(("mark", "﻿".encode(codec) + page("<meta charset=koi8-r>")))
    for where, body in rows:
        print(name, where, body.hex(), title.encode().hex())
"#;

fn unhex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

#[test]
fn titles_are_right_in_every_charset() {
    let pages = python(PAGES, [""; 0]);
    let mut answers = BTreeMap::new();
    let (mut names, mut titles) = (Vec::new(), Vec::new());
    for page in pages.lines() {
        let [charset, place, body, title]: [&str; 4] =
            page.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let said = if place == "header" { format!("; charset={charset}") } else { String::new() };
        let name = format!("{charset}-{place}");
        answers.insert(
            format!("/{name}"),
            ok(&format!("Content-Type: text/html{said}\r\n"), &unhex(body)),
        );
        names.push(name);
        titles.push(String::from_utf8(unhex(title)).unwrap());
    }
    assert!(names.len() > 120, "{}", names.len());
    let server = Raw::start(move |asked| answers[asked.path()].clone());
    let text = format!(
        "[inputs]\nvalues = {names:?}\n[workload.http]\nurl = \"{}{{input}}\"\n\
         [columns.title]\nhtml = 'title'\n[columns.found]\nregex = '<title>([^<]*)'",
        server.url("/")
    );
    for model in ["processes", "async"] {
        let ran = TestJob::new(&text).args(["--model", model]).run();
        ran.exit(0);
        let report = ran.report();
        for column in ["title", "found"] {
            let found: Vec<_> = names.iter().cloned().zip(report.column(column)).collect();
            let right: Vec<_> = names.iter().cloned().zip(titles.iter().cloned()).collect();
            assert_eq!(found, right, "{model} {column}");
        }
        assert!(report.column("error").iter().all(String::is_empty), "{model}");
    }
}

#[test]
fn a_charset_that_is_not_sure_is_said() {
    let page = |charset: &str, body: &[u8]| ok(&format!("Content-Type: {charset}\r\n"), body);
    let server = Raw::start(move |asked| match asked.path() {
        "/broken" => page("text/html; charset=utf-8", b"<title>Gr\xfc</title>"),
        "/martian" => page("text/html; charset=martian", b"<title>Gr\xfc</title>"),
        "/martian-utf-8" => page("text/html; charset=martian", "<title>Grü</title>".as_bytes()),
        "/json" => page("application/json", b"<title>Gr\xfc</title>"),
        "/both" => page("text/html; charset=utf-8\r\nno header", b"<title>Gr\xfc</title>"),
        _ => page("text/html; charset=iso-2022-kr", b"<title>\x1b$)C\x0eGQ\x0f</title>"),
    });
    let names = ["broken", "martian", "martian-utf-8", "json", "both", "refused"];
    let text = format!(
        "[inputs]\nvalues = {names:?}\n[workload.http]\nurl = \"{}{{input}}\"\n[columns.title]\nregex = '<title>([^<]*)'",
        server.url("/")
    );
    for model in MODELS {
        let ran = TestJob::new(&text).args(["--model", model]).run();
        ran.exit(3).rows(
            "status,title",
            &["ok,Gr\u{fffd}", "ok,Grü", "ok,Grü", "ok,Gr\u{fffd}", "ok,Gr\u{fffd}", "failed,"],
        );
        let said = ran.report().column("error");
        for (error, part) in said.iter().zip([
            "bytes that are not UTF-8",
            "`martian`, is not known: read as windows-1252",
            "",
            "the body is not UTF-8",
            "`no header`; the body has bytes",
            "in `iso-2022-kr`, which is not read",
        ]) {
            assert!(
                error.contains(part) && error.is_empty() == part.is_empty(),
                "{model}: {error}"
            );
        }
    }
}
