//! The table `[workload.http]`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use http::Method;
use toml::Spanned;

use super::cookies::Cookies;
use super::expect::Expected;
use super::parts::{BodyPart, Text};
use super::plan::{BodyKind, Header, Keep, Plan, Tls};
use super::save::Folder;
use super::{Spec, call, multipart, parts, tls, uri};
use crate::base::{ByteSize, Period};
use crate::config::{Planner, Table, Template};
use crate::workload::output_file::OutputPath;
use crate::workload::read_files::ReadFiles;

/// How many redirects are followed, unless the file says otherwise.
const REDIRECTS: usize = 10;
/// How much of a body is kept for `[columns]`, in bytes: a large page, and not much for a hundred slots.
const MAX_BODY: ByteSize = ByteSize::new(1 << 20);

/// Reads the table; every mistake is reported at its place.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    let url = url(table, plan);
    let body = parts::body(table, plan);
    let query = parts::pairs(table, "query", plan);
    let default = if body.as_ref().is_ok_and(|body| body.posts) { "POST" } else { "GET" };
    let place = table.has("method").then(|| table.span_of("method"));
    let method = method(table, default, plan);
    if let (Some(literal), Some(place)) = (method.as_ref().and_then(Template::literal), &place)
        && literal.eq_ignore_ascii_case("HEAD")
        && table.has("save")
    {
        plan.error(place.clone(), call::NO_BODY);
    }
    let mut headers = headers(table, plan);
    let auth = parts::auth(table, plan);
    let save = save(table, plan);
    let expect = expect(table, plan);
    let redirects = table.get::<usize>("redirects").map_or(REDIRECTS, Spanned::into_inner);
    let max_body = table.get::<ByteSize>("max_body");
    let http2 = table.get::<bool>("http2").is_some_and(Spanned::into_inner);
    let decode = table.get::<bool>("decode").is_none_or(Spanned::into_inner);
    let stall = table.get::<Period>("stall");
    if let Some(stall) = stall.as_ref().filter(|stall| stall.get_ref().duration().is_zero()) {
        let help = "leave it out to wait as long as `timeout` lets an attempt run";
        plan.error_with_help(stall.span(), "`stall` must be above 0", help);
    }
    let cookies = cookies(table, plan);
    let tls = tls(table, plan);
    let fallback = fallback(table, method.as_ref(), plan);
    if let Some(place) = max_body.as_ref().filter(|size| size.get_ref().bytes() == 0)
        && table.has("save")
    {
        plan.error(
            place.span(),
            "`max_body = \"0B\"` reads no body, so `save` has nothing to save",
        );
    }
    let (url, save, body) = (url?, save.ok()?, body.ok()?);
    if let (Some(headers), Some(auth)) = (&mut headers, auth.ok()?) {
        let is_own = |(name, _): &&(String, Text)| name.eq_ignore_ascii_case("authorization");
        if let Some((name, _)) = headers.iter().find(is_own) {
            let message = format!("`auth` beside the header `{name}`: a request has one of them");
            plan.error(table.span_of_key("auth"), message);
            return None;
        }
        headers.push(("Authorization".into(), auth));
    }
    let headers = headers?;
    let tls = tls?;
    let read = ReadFiles::of_found(plan).and(tls.files().map(Path::to_owned));
    let (save, folder) = save.unzip();
    let mut spec = Spec {
        plan: Plan {
            headers: Vec::new(),
            body: body.kind,
            save: folder,
            expect: expect?,
            redirects,
            http2,
            decode,
            stall: stall.map(|stall| stall.into_inner().duration()),
            cookies: cookies?,
            fallback: fallback.ok()?,
            tls,
            has_secret: url.has_secret() || body.parts.iter().any(BodyPart::has_secret),
            keep: Keep::default(),
        },
        method: method?,
        url,
        query: query.ok()?,
        body: body.parts,
        save,
        read,
        headers: Vec::new(),
        max_body: max_body.map_or(MAX_BODY, Spanned::into_inner).bytes(),
        jar: super::cookies::Jar::default(),
    };
    let is_named = |headers: &[(String, Text)], name: &str| {
        headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    if matches!(spec.plan.body, BodyKind::Multipart(_)) {
        let own = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some((_, Text::Template(own))) = own
            && let Some(own) = own.literal()
            && let Err(error) = multipart::check_type(own)
        {
            plan.error(table.span_of_key("headers"), error);
            return None;
        }
    }
    if let Some(content_type) = body.content_type
        && !is_named(&headers, "content-type")
    {
        spec.plan.headers.push(Header { name: "Content-Type".into(), is_secret: false });
        spec.headers.push(Text::Template(Template::constant(content_type)));
    }
    for (name, text) in headers {
        spec.plan.headers.push(Header { name, is_secret: text.has_secret() });
        spec.headers.push(text);
    }
    Some(spec)
}

/// `cookies`: `true`, `false` or `"job"`.
fn cookies(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Cookies> {
    if !table.has("cookies") {
        return Some(Cookies::default());
    }
    if table.text("cookies").is_none() {
        let kept = table.get::<bool>("cookies")?.into_inner();
        return Some(if kept { Cookies::Task } else { Cookies::None });
    }
    let word = table.get::<String>("cookies")?;
    match &word.get_ref()[..] {
        "job" => Some(Cookies::Job),
        other => {
            let message = format!("`cookies` must be `true`, `false` or `\"job\"`, not `{other}`");
            plan.error(word.span(), message);
            None
        }
    }
}

/// `fallback`: the method of a second request, if the first is refused.
fn fallback(
    table: &mut Table<'_>,
    method: Option<&Template>,
    plan: &Planner<'_>,
) -> Result<Option<String>, Reported> {
    if !table.has("fallback") {
        return Ok(None);
    }
    let Some(fallback) = table.get::<String>("fallback") else { return Err(Reported) };
    let parsed = call::method(fallback.get_ref().as_bytes());
    let error = match parsed {
        Err(error) => error,
        Ok(Method::HEAD) if table.has("save") => call::NO_BODY.replace("method", "fallback"),
        Ok(parsed) => match method.and_then(Template::literal) {
            Some(first) if first.eq_ignore_ascii_case(parsed.as_str()) => {
                "`fallback` is the same as `method`".into()
            }
            _ => return Ok(Some(parsed.as_str().to_owned())),
        },
    };
    plan.error(fallback.span(), error);
    Err(Reported)
}

/// `tls`, with its files looked at.
fn tls(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Tls> {
    let Some(mut table) = table.table("tls") else {
        return (!table.has("tls")).then(Tls::default);
    };
    let path = |table: &mut Table<'_>, key| {
        let path = table.get::<PathBuf>(key)?;
        Some((plan.folder().join(path.get_ref()), path.span()))
    };
    let ca = path(&mut table, "ca");
    let cert = path(&mut table, "cert");
    let key = path(&mut table, "key");
    let verify = table.get::<bool>("verify").is_none_or(Spanned::into_inner);
    let span = table.span();
    table.finish();
    let wrong = |error: String, place: &Range<usize>| plan.error(place.clone(), error);
    if let Some((ca, place)) = &ca
        && let Err(error) = tls::certificates(ca)
    {
        wrong(error, place);
        return None;
    }
    let client = match (cert, key) {
        (None, None) => None,
        (Some((cert, place)), key) => {
            // Both may stand in one file, as curl has it.
            let (key, key_place) = key.unwrap_or_else(|| (cert.clone(), place.clone()));
            if let Err(error) = tls::certificates(&cert) {
                wrong(error, &place);
                return None;
            }
            if let Err(error) = tls::private_key(&key) {
                wrong(error, &key_place);
                return None;
            }
            Some(((cert, key), key_place))
        }
        (None, Some((_, place))) => {
            wrong("`key` needs `cert`, the certificate that it fits".into(), &place);
            return None;
        }
    };
    let (client, place) = client.map_or((None, span), |(client, place)| (Some(client), place));
    let checks = Tls { ca: ca.map(|(ca, _)| ca), client, unverified: !verify };
    if checks.client.is_some()
        && let Err(error) = tls::config(false, &Tls { unverified: true, ..checks.clone() })
    {
        wrong(error, &place);
        return None;
    }
    Some(checks)
}

/// A mistake that has been reported.
pub(super) struct Reported;

/// A template that need not be there.
pub(super) fn optional(
    table: &mut Table<'_>,
    key: &'static str,
    plan: &Planner<'_>,
) -> Result<Option<Template>, Reported> {
    let given = table.has(key);
    let template = table.template(key, plan);
    if template.is_none() && given { Err(Reported) } else { Ok(template) }
}

fn url(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Template> {
    let place = table.span_of("url");
    let Some(url) = optional(table, "url", plan).ok()? else {
        let help = "write `url = \"https://…\"`, or take it from the inputs: `url = \"{input}\"`";
        plan.error_with_help(place, "`http` needs a `url`", help);
        return None;
    };
    let is_right = check(&url, |text| uri::read(text).map(drop), || place.clone(), plan);
    // Whatever its fields are, the text before the first of them tells.
    if let Some((scheme, _)) = url.prefix().split_once("://").filter(|_| is_right)
        && !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
    {
        let message = format!("`{scheme}://` cannot be fetched");
        plan.error_with_help(place, message, "a URL starts with http:// or https://");
        return None;
    }
    is_right.then_some(url)
}

fn method(table: &mut Table<'_>, default: &str, plan: &Planner<'_>) -> Option<Template> {
    let place = table.span_of("method");
    let method =
        optional(table, "method", plan).ok()?.unwrap_or_else(|| Template::constant(default));
    check(&method, |text| call::method(text).map(drop), || place.clone(), plan).then_some(method)
}

fn headers(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<(String, Text)>> {
    let Some(places) = table.table("headers") else {
        return (!table.has("headers")).then(Vec::new);
    };
    let headers = table.template_map("headers", plan);
    let mut right = true;
    for (name, value) in &headers {
        if let Err(error) = call::header_name(name) {
            plan.error(places.span_of_key(name), error);
            right = false;
        }
        let valid = |text: &[u8]| call::header_value(name, text).map(drop);
        right &= check(value, valid, || places.span_of(name), plan);
    }
    let headers = headers.into_iter().map(|(name, value)| (name, Text::Template(value))).collect();
    right.then_some(headers)
}

fn save(table: &mut Table<'_>, plan: &Planner<'_>) -> Result<Option<(Template, Folder)>, Reported> {
    let place = table.span_of("save");
    let Some(save) = optional(table, "save", plan)? else { return Ok(None) };
    let folder =
        if plan.is_created(&save) { Ok(Folder::of_made()) } else { Folder::new(save.prefix()) };
    let folder = folder.map_err(|error| {
        plan.error(place.clone(), error);
        Reported
    })?;
    let valid = |text: &[u8]| folder.place(plan.folder(), text).map(drop);
    if !check(&save, valid, || place.clone(), plan) {
        return Err(Reported);
    }
    // What is wrong with one name for several tasks is known of a file only, and said of the second task.
    let output = OutputPath::new(save.clone(), plan);
    if let Some((message, help)) = output.mistake(None, plan.sources()) {
        match help {
            Some(help) => plan.error_with_help(place, message, help),
            None => plan.error(place, message),
        }
        return Err(Reported);
    }
    Ok(Some((save, folder)))
}

fn expect(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<Expected>> {
    if !table.has("expect_status") {
        return Some(vec![Expected::Class(2)]);
    }
    let expect = table.get::<Vec<Expected>>("expect_status")?;
    if expect.get_ref().is_empty() {
        plan.error(expect.span(), "`expect_status` is empty: no status would be a success");
        return None;
    }
    Some(expect.into_inner())
}

/// Reports a template that is wrong for every task.
pub(super) fn check(
    template: &Template,
    valid: impl Fn(&[u8]) -> Result<(), String>,
    place: impl FnOnce() -> Range<usize>,
    plan: &Planner<'_>,
) -> bool {
    let wrong = template.literal().and_then(|text| valid(text.as_bytes()).err());
    if let Some(error) = &wrong {
        plan.error(place(), error);
    }
    wrong.is_none()
}
