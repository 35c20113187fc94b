//! The table `[workload.http]`.

use toml::Spanned;

use super::expect::Expected;
use super::plan::{Keep, Plan};
use super::save::Folder;
use super::{Spec, call};
use crate::base::ByteSize;
use crate::config::{Planner, Table, Template};

/// How many redirects are followed, unless the file says otherwise.
const REDIRECTS: usize = 10;
/// How much of a body is kept for `[columns]`, in bytes: a large page, and not much for a hundred slots.
const MAX_BODY: ByteSize = ByteSize::new(1 << 20);

/// Reads the table; every mistake is reported at its place.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    let url = url(table, plan);
    let method = method(table, plan);
    let headers = headers(table, plan);
    let body = optional(table, "body", plan);
    let save = save(table, plan);
    let expect = expect(table, plan);
    let redirects = table.get::<usize>("redirects").map_or(REDIRECTS, Spanned::into_inner);
    let max_body = table.get::<ByteSize>("max_body").map_or(MAX_BODY, Spanned::into_inner);
    let http2 = table.get::<bool>("http2").is_some_and(Spanned::into_inner);
    let (headers, names): (Vec<_>, Vec<_>) = headers?.into_iter().unzip();
    let (save, folder) = save.ok()?.unzip();
    let body = body.ok()?;
    Some(Spec {
        plan: Plan {
            headers: names,
            has_body: body.is_some(),
            save: folder,
            expect: expect?,
            redirects,
            http2,
            keep: Keep::default(),
        },
        method: method?,
        url: url?,
        body,
        save,
        headers,
        max_body: max_body.bytes(),
    })
}

/// A mistake that has been reported.
struct Reported;

/// A template that need not be there.
fn optional(
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
    check(&url, |text| call::uri(text).map(drop), || place.clone(), plan).then_some(url)
}

fn method(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Template> {
    let place = table.span_of("method");
    let method = optional(table, "method", plan).ok()?.unwrap_or_else(|| Template::constant("GET"));
    check(&method, |text| call::method(text).map(drop), || place.clone(), plan).then_some(method)
}

fn headers(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Vec<(Template, String)>> {
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
    let headers = headers.into_iter().map(|(name, value)| (value, name)).collect();
    right.then_some(headers)
}

fn save(table: &mut Table<'_>, plan: &Planner<'_>) -> Result<Option<(Template, Folder)>, Reported> {
    let place = table.span_of("save");
    let Some(save) = optional(table, "save", plan)? else { return Ok(None) };
    let folder = Folder::new(save.prefix()).map_err(|error| {
        plan.error(place.clone(), error);
        Reported
    })?;
    let valid = |text: &[u8]| folder.place(plan.folder(), text).map(drop);
    if check(&save, valid, || place, plan) { Ok(Some((save, folder))) } else { Err(Reported) }
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
fn check(
    template: &Template,
    valid: impl Fn(&[u8]) -> Result<(), String>,
    place: impl FnOnce() -> std::ops::Range<usize>,
    plan: &Planner<'_>,
) -> bool {
    let wrong = template.literal().and_then(|text| valid(text.as_bytes()).err());
    if let Some(error) = &wrong {
        plan.error(place(), error);
    }
    wrong.is_none()
}
