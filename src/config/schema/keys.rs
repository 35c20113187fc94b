//! The list itself. One line a key:
//!
//! ```text
//! name: kind [=> default], "meaning";
//! ```
//!
//! A new key gets its line here, its reader in the table's module and its row in `docs/`: tests compare the three.

use super::Default::{Is, None as Nothing, Words};
use super::Kind::{
    Any, Array, Boolean, Count, Datum, Duration, Either, Inner, Integer, Keys, Map, Named, Number,
    OneOf, Single, Size, Tables, Template, Text,
};
use super::{Key, RUNNER_TOML, Section};

/// Makes an array of [`Key`]s of lines as above.
macro_rules! keys {
    ($($name:ident: $kind:expr $(=> $default:expr)?, $meaning:literal;)*) => {
        &[$(Key { name: stringify!($name), kind: $kind, default: keys!(@ $($default)?), meaning: $meaning },)*]
    };
    (@) => { Nothing };
    (@ $default:expr) => { $default };
}

/// A limit of `budget`.
const BUDGET: super::Kind = Inner(&[("per", Duration), ("max", Number), ("estimate", Number)]);

/// A list of strings with placeholders.
const TEMPLATES: super::Kind = Array(&Template);

pub(super) const SECTIONS: [Section; 37] = [
    Section { name: "", groups: &[OF_A_JOB, OF_A_STAGE] },
    Section { name: "inputs", groups: &[SOURCES, SELECTION] },
    Section { name: "inputs.range", groups: &[RANGE] },
    Section { name: "inputs.lines", groups: &[LINES] },
    Section { name: "inputs.csv", groups: &[CSV] },
    Section { name: "inputs.jsonl", groups: &[JSONL] },
    Section { name: "inputs.json", groups: &[JSON] },
    Section { name: "inputs.sheet", groups: &[SHEET] },
    Section { name: "inputs.glob", groups: &[GLOB] },
    Section { name: "inputs.blocks", groups: &[BLOCKS] },
    Section { name: "fields.*", groups: &[FIELD] },
    Section { name: "stages", groups: &[OF_A_STAGE_ALONE, OF_A_STAGE] },
    Section { name: "workload", groups: &[WORKLOAD] },
    Section { name: "workload.command", groups: &[COMMAND] },
    Section { name: "workload.http", groups: &[HTTP] },
    Section { name: "workload.http.auth", groups: &[AUTH] },
    Section { name: "workload.http.tls", groups: &[TLS] },
    Section { name: "workload.http.multipart.*", groups: &[MULTIPART] },
    Section { name: "workload.compute", groups: &[COMPUTE] },
    Section { name: "workload.python", groups: &[PYTHON] },
    Section { name: "workload.sleep", groups: &[SLEEP] },
    Section { name: "workload.worker", groups: &[WORKER] },
    Section { name: "limits", groups: &[LIMITS_OF_A_STAGE, LIMITS_OF_A_JOB] },
    Section { name: "stages.limits", groups: &[LIMITS_OF_A_STAGE] },
    Section { name: "retry", groups: &[RETRY] },
    Section { name: "columns.*", groups: &[COLUMN] },
    Section { name: "report", groups: &[REPORT] },
    Section { name: "secrets.*", groups: &[SECRET] },
    Section { name: "cluster", groups: &[CLUSTER] },
    Section { name: "services.*", groups: &[SERVICE] },
    Section { name: "services.*.ready", groups: &[READY] },
    Section { name: RUNNER_TOML, groups: &[SETTINGS] },
    Section { name: "runner.toml.cluster", groups: &[CLUSTER] },
    Section { name: "runner.toml.defaults", groups: &[DEFAULTS] },
    Section { name: "runner.toml.defaults.limits", groups: &[LIMITS_OF_A_STAGE, LIMITS_OF_A_JOB] },
    Section { name: "runner.toml.defaults.retry", groups: &[RETRY] },
    Section { name: "runner.toml.defaults.report", groups: &[REPORT] },
];

const OF_A_JOB: &[Key] = keys! {
    name: Text => Words("the file's name without `.toml`"), "names the report; letters, digits, `_`, `-`";
    description: Text, "for people";
    needs: Array(&Text) => Is("[]"), "names of jobs that have to end ok before this one starts";
    exclusive: Boolean => Is("false"), "whether it runs alone, whatever `--jobs` says";
    inputs: Keys => Words("one task"), "where the tasks come from";
    fields: Named, "fields that are made from fields";
    creates: Either(&[Template, Array(&Template)]), "the file or files that a task makes: one whose files are there does not run again";
    reads: Either(&[Template, Array(&Template)]), "the files that a task depends on: it runs again if one of them has changed";
    stages: Tables, "what is done to each task, one stage after another; instead of one workload";
    report: Keys, "how the report is written";
    services: Named, "programs that run while the job does";
    secrets: Named, "values that are used and never shown";
    cluster: Keys, "what `--on slurm` asks of the cluster";
};

/// What `[[stages]]` have, and a job without them.
pub(super) const OF_A_STAGE: &[Key] = keys! {
    model: OneOf(&["sequential", "threads", "processes", "async", "auto"]) => Is("\"auto\""), "who runs the tasks";
    workload: Keys, "what is done to each task";
    limits: Keys, "how many tasks run at once, how fast and how long";
    retry: Keys, "which tasks are attempted again";
    columns: Named, "report columns that are taken from the output";
};

const OF_A_STAGE_ALONE: &[Key] = keys! {
    name: Text, "what the stage is called; letters, digits, `_`, `-`";
    max_payload: Size => Is("\"64MiB\""), "how much it may hand on; a task with more fails in that stage";
};

pub(super) const SOURCES: &[Key] = keys! {
    values: Array(&Datum), "scalars, or tables with the same keys";
    range: Keys, "numbers from one to another, both ends included; decimals are exact";
    lines: Either(&[Text, Array(&Text), Keys]), "a file, `\"-\"` for standard input: one task a line; blank lines make none";
    csv: Either(&[Text, Array(&Text), Keys]), "a table of text with a header row: one task a row";
    json: Either(&[Text, Array(&Text), Keys]), "one JSON document with an array: one task an element";
    jsonl: Either(&[Text, Array(&Text), Keys]), "a file with a JSON object per line: one task an object";
    sheet: Either(&[Text, Array(&Text), Keys]), "a table in a workbook (.xlsx, .xls, .xlsb, .ods): one task a row";
    glob: Either(&[Text, Array(&Text), Keys]), "a pattern such as `\"photos/**/*.jpg\"`: files only, sorted, no hidden names; one that ends in `/` finds folders";
    blocks: Either(&[Text, Array(&Text), Keys]), "one big file in pieces of whole records; a piece is the payload of the first stage: standard input of a command";
    matrix: Map(&Either(&[Array(&Single), Keys])), "every combination of arrays and sources, the last key fastest";
    zip: Map(&Either(&[Array(&Single), Keys])), "arrays and sources side by side";
    repeat: Integer, "how many times to do the same";
    job: Text, "the name of another job: the rows of its report";
};

const SELECTION: &[Key] = keys! {
    null: Boolean => Is("false"), "whether `lines` are separated by NUL";
    where: Text, "which inputs become tasks, as in `\"size > 100 and name != 'x'\"`; a cell that is not a number satisfies no comparison with one but `!=`, also if another cell has the number; two texts are compared as texts";
    shuffle: Integer, "a seed: a random order that the seed repeats";
    skip: Integer => Is("0"), "how many are left out first";
    limit: Integer, "how many are taken at most";
    batch: Either(&[Count, Size]), "how many inputs a task takes; a size: as many as fit into it as arguments";
    bad_input: OneOf(&["row", "stop"]) => Is("\"row\""), "what becomes of an input that cannot be used: a failed row, or the end of the job";
    empty: OneOf(&["told", "ok"]) => Is("\"told\""), "whether no input at all is exit code 4 or 0";
};

const RANGE: &[Key] = keys! {
    from: Number, "the first number";
    to: Number, "where it ends; included if a step gets there";
    step: Number => Is("1"), "from each number to the next; below 0 to count down";
};

const LINES: &[Key] = keys! {
    file: Either(&[Text, Array(&Text)]), "the file, a pattern, or several of them";
    encoding: Text => Words("a byte order mark's, else UTF-8"), "its encoding, by a name of the WHATWG's such as `\"windows-1252\"`";
    null: Boolean => Is("false"), "whether NUL ends an input";
    separator: Text, "one character that stands between inputs, instead of the ends of lines";
    blank: OneOf(&["skip", "keep"]) => Is("\"skip\""), "whether blank lines are inputs";
    comments: Text, "lines that start with it are left out";
    words: Boolean => Is("false"), "whether blanks stand between inputs, too, with quotes and backslashes as xargs reads them";
    regex: Text, "its named groups are the fields; a line that does not match is a failed row";
};

const CSV: &[Key] = keys! {
    file: Either(&[Text, Array(&Text)]), "the file, a pattern, or several of them";
    encoding: Text => Words("a byte order mark's, else UTF-8"), "its encoding, by a name of the WHATWG's such as `\"windows-1252\"`";
    delimiter: Text => Words("what splits the header"), "what stands between cells; by itself the one of comma, semicolon, tab and vertical bar, or what a first line `sep=;` says";
    header: Either(&[Boolean, Array(&Text)]) => Is("true"), "`false`: there is none, and the fields are `column_1` and so on; an array: these are the names";
    quotes: Boolean => Is("true"), "whether quotes stand around cells; `false`: they are characters like others";
    escape: Text, "a character that makes the next one a plain one";
    skip_lines: Integer => Is("0"), "how many lines come before the header";
    comments: Text, "lines that start with it are left out";
    trim: Boolean => Is("false"), "whether blanks around cells go";
};

const JSONL: &[Key] = keys! {
    file: Either(&[Text, Array(&Text)]), "the file, a pattern, or several of them";
    encoding: Text => Words("a byte order mark's, else UTF-8"), "its encoding, by a name of the WHATWG's such as `\"windows-1252\"`";
    fields: Array(&Text) => Words("the keys of the first 1,000 objects"), "the keys that are fields; others are left out";
};

const JSON: &[Key] = keys! {
    file: Either(&[Text, Array(&Text)]), "the file, a pattern, or several of them";
    encoding: Text => Words("a byte order mark's, else UTF-8"), "its encoding, by a name of the WHATWG's such as `\"windows-1252\"`";
    fields: Array(&Text) => Words("the keys of the first 1,000 objects"), "the keys that are fields; others are left out";
    at: Text => Words("the document"), "a JSON pointer to the array, such as `\"/items\"`";
};

const SHEET: &[Key] = keys! {
    file: Either(&[Text, Array(&Text)]), "the file, a pattern, or several of them";
    sheet: Text => Words("the first one"), "the sheet's name";
    header: Either(&[Boolean, Array(&Text)]) => Is("true"), "as of `csv`";
    skip_lines: Integer => Is("0"), "how many rows come before the header";
};

const GLOB: &[Key] = keys! {
    pattern: Either(&[Text, Array(&Text)]), "the pattern or patterns; a file that several find is found once";
    except: Either(&[Text, Array(&Text)]), "what these patterns find is left out";
    hidden: Boolean => Is("false"), "whether hidden names are found";
    follow: Boolean => Is("false"), "whether links to folders are entered";
};

const BLOCKS: &[Key] = keys! {
    file: Either(&[Text, Array(&Text)]), "the file";
    encoding: Text => Words("a byte order mark's, else UTF-8"), "its encoding, by a name of the WHATWG's such as `\"windows-1252\"`";
    size: Size => Is("\"1MiB\""), "bytes of a block, without the rest of its last record";
    parts: Either(&[Count, OneOf(&["cores"])]), "instead: how many blocks; not of standard input and compressed files";
    record_end: Text => Is("\"\\n\""), "what ends a record";
    record_start: Text, "instead: a regular expression that finds where one starts";
    header: Boolean => Is("false"), "whether the first line stands before every block";
};

const FIELD: &[Key] = keys! {
    value: Template, "what it is, as in `\"out/{input.stem}.png\"`";
    from: Text, "instead: the field that `regex` reads";
    regex: Text, "its first group, or all of its match; no match is an empty field";
};

const WORKLOAD: &[Key] = keys! {
    command: Keys, "runs a program";
    compute: Keys, "calls one of the built-in functions";
    http: Keys, "sends a request";
    python: Keys, "calls a function of Python's";
    sleep: Keys, "waits";
    worker: Keys, "gives tasks to a program that does one after another";
};

const COMMAND: &[Key] = keys! {
    argv: TEMPLATES, "program and arguments; no shell, nothing is split or expanded";
    shell: Text, "instead of `argv`: a text for `sh -c`, with the fields as environment variables";
    shell_with: Array(&Text) => Is("[\"sh\", \"-c\"]"), "what runs `shell`";
    env: Map(&Template), "environment variables";
    cwd: Template => Words("the job file's folder"), "the folder to run in";
    stdin: Template => Words("no input"), "a text for standard input";
    stdin_file: Template, "instead of `stdin`: a file";
    stdout: Template, "a file for standard output; then nothing of it is in the report";
    stderr: Template, "a file for standard error";
    success_codes: Array(&Integer) => Is("[0]"), "exit codes that count as ok";
    capture: Size => Is("\"1MiB\""), "how much of the output is kept; the rest is counted, and searched for columns line by line";
    encoding: Text => Words("a byte order mark's, else UTF-8"), "how the output is written, by a name that browsers know";
    result: OneOf(&["head", "tail"]) => Is("\"head\""), "which end of the output is the result";
};

const HTTP: &[Key] = keys! {
    url: Template, "where the request goes; `{field.url}` encodes a part of it";
    method: Template => Words("`\"GET\"`; `\"POST\"` with `json`, `form`, `multipart`, `body_file`"), "the method of the request";
    query: Map(&Template), "pairs that are appended to the URL, encoded";
    headers: Map(&Template), "headers of the request";
    body: Template, "the body of the request";
    json: Any, "instead of `body`: JSON, with templates in its strings";
    form: Map(&Template), "instead of `body`: a form, as HTML sends it";
    multipart: Map(&Either(&[Template, Keys])), "instead of `body`: a form with files";
    body_file: Template, "instead of `body`: the path of a file, read while it is sent";
    auth: Keys, "who asks: a user and a password, or a token";
    expect_status: Array(&Either(&[Integer, Text])) => Is("[\"2xx\"]"), "codes and classes that count as ok";
    save: Template, "a file for the body; it appears whole or not at all, and only for an expected status";
    redirects: Integer => Is("10"), "how many are followed";
    max_body: Size => Is("\"1MiB\""), "the longest body that `[columns]` read; `\"0B\"` reads none at all";
    decode: Boolean => Is("true"), "whether content codings are undone";
    stall: Duration, "ends an attempt during which nothing comes or goes for this long";
    fallback: Text, "the method of a second request if the first is refused";
    cookies: Either(&[Boolean, OneOf(&["job"])]) => Is("true"), "keeps cookies along redirects, or for all tasks together";
    tls: Keys, "how certificates are checked and shown";
    http2: Boolean => Is("false"), "whether to speak HTTP/2 instead of HTTP/1.1";
};

const AUTH: &[Key] = keys! {
    bearer: Template, "a token";
    user: Template, "a name";
    password: Template => Words("`\"\"`"), "its password";
};

const TLS: &[Key] = keys! {
    ca: Text => Words("the system's"), "a PEM file of authorities that are trusted";
    cert: Text, "a PEM file with the client's certificate";
    key: Text => Words("`cert`"), "a PEM file with its key";
    verify: Boolean => Is("true"), "whether certificates are checked";
};

const MULTIPART: &[Key] = keys! {
    path: Template, "the file";
    filename: Text => Words("its own"), "what the server is told that it is called";
    type: Text => Words("by its extension"), "its content type";
};

const SECRET: &[Key] = keys! {
    env: Text, "the environment variable that has the value";
    file: Text, "the file that has it; a line break at its end does not count";
    command: Array(&Text), "a program that prints it";
};

const COMPUTE: &[Key] = keys! {
    function: OneOf(&["count_down", "factorial", "fibonacci", "count_primes", "sha256"]), "what is called";
    arg: Either(&[Integer, Template]) => Words("the input, if it has one field"), "what it is called with";
};

const PYTHON: &[Key] = keys! {
    function: Text, "what is called: `\"module:name\"` or `\"FILE.py:name\"`; plain or `async def`";
    path: Either(&[Text, Array(&Text)]), "folders in which modules are looked for besides the job file's own";
    interpreter: Either(&[Text, Array(&Text)]) => Words("`python3` in the `PATH`"), "a Python: a name, a path, the folder of an environment, or a command such as `\"uv run python\"`";
    init: Text, "`\"module:name\"` of a function that is called once in every interpreter before it is ready";
    preload: Text, "a module, or `\"module:name\"` of a function: loaded once, before interpreters are forked";
    thread_safe: Boolean => Is("false"), "whether `auto` may run the function in threads of one interpreter";
    max_tasks: Count, "an interpreter is renewed after this many tasks";
    max_memory: Size, "an interpreter that has more memory than this is renewed, between two tasks";
    ready_timeout: Duration => Is("\"10m\""), "how long an interpreter may take to be ready";
    args: Array(&Any) => Words("the input, if it is a single one"), "what the function is called with";
    kwargs: Map(&Any) => Words("the fields of a record, by name"), "what it is called with by name";
    env: Map(&Template), "variables of the interpreters; `{slot}` and `{job}` may stand in them";
    as_bytes: Boolean => Is("false"), "whether text arrives as `bytes`";
};

const SLEEP: &[Key] = keys! {
    duration: Template, "how long, e.g. `\"100ms\"` or `\"{input}ms\"`";
};

const WORKER: &[Key] = keys! {
    argv: TEMPLATES, "the program and its arguments; `{slot}` and `{job}` may stand in them";
    args: Array(&Any) => Words("the input, if it is a single one"), "what each task is called with";
    kwargs: Map(&Any) => Words("the fields of a record, by name"), "what it is called with by name";
    env: Map(&Template), "environment variables, the same for all tasks";
    cwd: Template => Words("the job file's folder"), "the folder to run in, the same for all tasks";
    ready_timeout: Duration => Is("\"30s\""), "how long it may take to be ready";
    max_tasks: Count, "a program is renewed after this many tasks";
    max_memory: Size, "a program that has more memory than this is renewed, between two tasks";
};

pub(super) const LIMITS_OF_A_STAGE: &[Key] = keys! {
    concurrency: Either(&[Count, OneOf(&["cores", "adaptive"]), Text]) => Words("what fits the model and the kind of work"), "how many tasks at once";
    timeout: Either(&[Duration, Text, Array(&Text)]), "for an attempt, from the moment it starts: waiting never counts; `\"300%\"` is of the median";
    cores: Count, "how many cores a task takes: so many fewer run at once";
    memory: Size, "how much memory a task may use: a task that uses more is ended; so many run at once as there is memory for";
    grace: Duration => Is("\"10s\""), "from TERM to KILL";
    rate: Text, "how many attempts may start: `\"50/s\"`, `\"100/m\"`, `\"0.5/h\"`";
    burst: Count => Is("1"), "how many of them may start at once after a time without starts";
    group: Text, "the name of a limit that several jobs share";
    per_host: Count, "how many requests may be out to one host at once";
    slots: Array(&Text), "names of the slots, such as graphics cards: `{slot.name}` in templates";
    budget: Map(&Array(&BUDGET)), "by column: how much of what it counts may be used in a time, or by the whole job";
    stop_on: Array(&Text), "outcomes that stop the job: words of `retry.on` such as `\"exit:255\"`";
};

const LIMITS_OF_A_JOB: &[Key] = keys! {
    deadline: Duration, "for the whole job; then it is killed (exit code 124)";
    stop_after_failures: Either(&[Count, Text]), "stop when this many tasks have failed for good, or this share: `\"5%\"`";
    stop_after_successes: Count, "stop when this many tasks are ok (exit code 0)";
    on_stop: OneOf(&["drain", "kill"]) => Words("`\"drain\"`; `\"kill\"` with `stop_after_successes`"), "what becomes of the running tasks then";
    min_free_memory: Size, "nothing starts while less memory than this is available";
    max_load: Either(&[Number, Text]), "nothing starts while this many threads run or wait for a core, or this share of the cores: `\"80%\"`";
};

const RETRY: &[Key] = keys! {
    max_attempts: Count => Is("1"), "how often a task is attempted in total";
    delay: Duration => Is("\"1s\""), "before the second attempt; doubles with every further one";
    max_delay: Duration => Is("\"1m\""), "the longest such pause";
    on: Array(&Text) => Is("[\"failed\", \"timeout\", \"crashed\"]"), "what is tried again; also `\"exit:75\"`, `\"http:5xx\"` and the like";
    never: Array(&Text), "what is not tried again, even if `on` has it";
};

const COLUMN: &[Key] = keys! {
    regex: Text, "the first group (or the whole match) of the first match in the output";
    take: OneOf(&["first", "last"]) => Is("\"first\""), "which match of the `regex` counts";
    stream: OneOf(&["stdout", "stderr"]) => Is("\"stdout\""), "what a column of a command is read from";
    json: Text, "a pointer such as `\"/metrics/loss\"` into an output that is JSON";
    header: Text, "a header of the answer; only for `http`";
    html: Text, "a CSS selector: the text of the first element that it finds";
    total: Boolean => Is("false"), "whether the sum of its numbers is in the summary";
};

const REPORT: &[Key] = keys! {
    dialect: OneOf(&["csv", "excel", "excel-semicolon"]) => Is("\"csv\""), "for which reader the report is written";
    order: OneOf(&["input", "completion"]) => Is("\"input\""), "in which order the rows stand";
    formula_safe: Boolean => Is("true"), "whether text that a spreadsheet would take for a formula gets a leading `'`";
    host: Boolean => Is("false"), "whether each row has the name of the machine on which the task ran, after `slot`";
    logs: OneOf(&["none", "failed", "all"]) => Is("\"none\""), "of which commands the whole output is kept in `results/<job>.logs`";
    also: Array(&Text) => Is("[]"), "what is made of the report when the job has ended: `\"html\"`, a page; `\"xlsx\"`, a workbook";
};

const SERVICE: &[Key] = keys! {
    argv: TEMPLATES, "the program and its arguments; the only placeholder is `{job}`";
    env: Map(&Template), "environment variables";
    cwd: Template => Words("the job file's folder"), "the folder to run in";
    ready: Either(&[Text, Keys]) => Words("at once"), "when the job can start";
    timeout: Duration => Is("\"30s\""), "for being ready";
};

const READY: &[Key] = keys! {
    url: Text, "when this URL answers, whatever it says; no `https`";
    tcp: Text, "when something accepts connections at this address";
    line: Text, "when a line of the service's output matches this regular expression";
};

const CLUSTER: &[Key] = keys! {
    nodes: Count => Is("10"), "how many allocations run at once";
    shards: Count => Words("4 for each of `nodes`"), "how many shares the tasks are dealt into, at most one for each task";
    cpus: Count => Words("the site's default"), "processors of an allocation";
    mem: Size => Words("the site's default"), "memory of an allocation";
    mem_per_cpu: Size, "memory for each processor, instead of `mem`";
    gpus: Either(&[Count, Text]), "GPUs of an allocation: a number, or a kind and a number such as `\"a100:2\"`";
    time: Duration => Words("the site's default"), "how long an allocation may last; what is not done by then is started again";
    partition: Text => Words("the site's default"), "the partition";
    account: Text => Words("the site's default"), "the account that pays";
    qos: Text => Words("the site's default"), "the quality of service";
    constraint: Text, "features that a node has to have";
    options: Array(&Text) => Is("[]"), "further options of `sbatch`, such as `\"--exclusive\"`";
    setup: Text, "shell lines that run before the runner, such as `\"module load python\"`";
    runner: Text => Words("a copy of this one"), "the runner on the nodes; `{arch}` stands for the kind of processor";
    tries: Count => Is("3"), "how many starts of a shard in a row may bring no new row";
    lead: Duration => Words("`timeout`, `grace` and 30 s, else 2 min; at most half of `time`"), "how long before the end of `time` an allocation is told to end";
};

const SETTINGS: &[Key] = keys! {
    results: Text => Words("`results` in the current folder"), "the folder of the reports; `--results` wins";
    groups: Map(&Count), "the limits of the groups; `--group` wins";
    cluster: Keys, "the cluster of the site: what a job's own `[cluster]` does not say";
    defaults: Keys, "what holds for every job of the folder that does not say otherwise";
};

const DEFAULTS: &[Key] = keys! {
    limits: Keys, "as in a job file; `per_host` is left out where it does not suit the workload";
    retry: Keys, "as in a job file; words of `on` are left out where they do not suit the workload";
    report: Keys, "as in a job file";
};
