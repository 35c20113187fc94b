//! Functions of libraries as people use them, under each model. The libraries are not part of the tests' requirements:
//! where `target/python-libraries` (a venv that `.ci/run` makes) is missing, that is said and nothing else happens.

use std::path::PathBuf;

use crate::http::server::Server;
use crate::support::{MODELS, Ran, TestJob, root, skip};

/// The environment with the libraries.
pub fn environment() -> Option<PathBuf> {
    let folder = root().join("target/python-libraries");
    let has_all = folder.join("complete").exists();
    if !has_all {
        skip(&format!("there is no {} with the libraries (.ci/run makes it)", folder.display()));
    }
    has_all.then_some(folder)
}

/// Runs `work` of this module with the libraries, under each model that is named; `rest` is what follows in
/// `[workload.python]`.
fn under(models: &[&str], module: &str, inputs: &str, rest: &str, check: impl Fn(&Ran)) {
    let Some(environment) = environment() else { return };
    for model in models {
        let text = format!(
            "model = '{model}'\n[inputs]\n{inputs}\n[limits]\nconcurrency = 2\n[workload.python]\nfunction = 'mine:work'\n\
             interpreter = '{}'\n{rest}",
            environment.display()
        );
        let ran = TestJob::new(&text).file("mine.py", module).run();
        ran.exit(0);
        check(&ran);
    }
}

/// All models, and what is picked where none is named.
const ALL: [&str; 5] = [MODELS[0], MODELS[1], MODELS[2], MODELS[3], "auto"];

#[test]
fn numpy() {
    let module = "
import numpy as np
def work(n):
    rng = np.random.default_rng(n)
    a = rng.random((60, 60))
    return {
        'rank': np.linalg.matrix_rank(a), 'sum': np.float32(n) + 1, 'shape': a.shape, 'first': np.arange(3) * n,
        'span': np.timedelta64(1500, 'ns'), 'long': np.longdouble('0.1'), 'none': np.array([np.nan, np.inf]),
        'when': np.array(['2026-01-02', 'NaT'], dtype='M8[D]'), 'is': np.all(a < 1),
        'masked': np.ma.array(['2026-01-02', '2026-01-03'], dtype='M8[D]', mask=[False, True]),
    }";
    under(&ALL, module, "values = [1, 2]", "", |ran| {
        let row = |n: i32| {
            format!(
                r#"{{"rank":60,"sum":{}.0,"shape":[60,60],"first":[0,{n},{}],"span":"1500 nanoseconds","long":"0.1","none":[null,"inf"],"when":["2026-01-02",null],"is":true,"masked":["2026-01-02",null]}}"#,
                n + 1,
                2 * n
            )
        };
        ran.rows("result", &[&row(1), &row(2)]);
    });
}

#[test]
fn pandas() {
    let module = "
import pandas as pd
table = None
def load():
    global table
    table = pd.DataFrame({'shop': ['a', 'b', 'a', 'c'], 'sold': [1, 2, 3, None], 'day': pd.to_datetime(['2026-01-01'] * 4)})
def work(shop):
    own = table[table['shop'] == shop]
    own.to_csv(f'{shop}.csv', index=False)
    return {'sum': own['sold'].sum(), 'rows': own, 'by': own.groupby('shop')['sold'].agg(['min', 'max'])}";
    let rest = "preload = 'mine:load'\n[columns.sum]\n[columns.rows]\n[columns.by]";
    under(&ALL, module, "values = ['a', 'b', 'c']", rest, |ran| {
        let report = ran.report();
        assert_eq!(report.column("sum"), ["4.0", "2.0", "0.0"]);
        let row = |index: u32, shop: &str, sold: &str| {
            format!(
                r#"{{"index":{index},"shop":"{shop}","sold":{sold},"day":"2026-01-01 00:00:00"}}"#
            )
        };
        assert_eq!(
            report.column("rows"),
            [
                format!("[{},{}]", row(0, "a", "1.0"), row(2, "a", "3.0")),
                format!("[{}]", row(1, "b", "2.0")),
                format!("[{}]", row(3, "c", "null")),
            ]
        );
        assert_eq!(report.column("by")[0], r#"[{"shop":"a","min":1.0,"max":3.0}]"#);
        let written = std::fs::read_to_string(ran.path("a.csv")).unwrap();
        assert_eq!(written, "shop,sold,day\na,1.0,2026-01-01\na,3.0,2026-01-01\n");
    });
}

#[test]
fn pillow() {
    let module = "
from PIL import Image
def work(n):
    Image.new('RGB', (40 * n, 20 * n), (n, 0, 0)).save(f'{n}.png')
    with Image.open(f'{n}.png') as image:
        image.thumbnail((10, 10))
        image.save(f'small-{n}.png')
    small = Image.open(f'small-{n}.png')
    return [small.size, small.getpixel((0, 0))]";
    under(&ALL, module, "values = [1, 2]", "", |ran| {
        ran.rows("result", &["[[10,5],[1,0,0]]", "[[10,5],[2,0,0]]"]);
    });
}

#[test]
fn requests() {
    let server = Server::start();
    let module = "
import requests
def prepare():
    global session
    with requests.Session() as session:
        session.headers['X-Mine'] = 'yes'
        yield
def work(url):
    answer = session.get(url, timeout=30)
    return [answer.status_code, answer.text, answer.encoding]";
    let inputs = format!("values = ['{}', '{}']", server.url("/hello"), server.url("/missing"));
    under(&ALL, module, &inputs, "init = 'mine:prepare'", |ran| {
        let results = ran.report().column("result");
        assert!(results[0].starts_with(r#"[200,"hello""#), "{results:?}");
        assert!(results[1].starts_with("[404,"), "{results:?}");
    });
}

#[test]
fn aiohttp_with_a_session_that_init_makes() {
    let server = Server::start();
    let module = "
import aiohttp
async def prepare():
    global session
    async with aiohttp.ClientSession() as session:
        yield
    open('closed', 'w').close()
async def work(url):
    async with session.get(url) as answer:
        return [answer.status, await answer.text()]";
    let inputs = format!("values = ['{}', '{}']", server.url("/hello"), server.url("/missing"));
    under(&ALL, module, &inputs, "init = 'mine:prepare'", |ran| {
        let results = ran.report().column("result");
        assert_eq!(results[0], r#"[200,"hello"]"#);
        assert!(results[1].starts_with("[404,"), "{results:?}");
        assert!(ran.path("closed").exists());
    });
}

#[test]
fn sqlite3() {
    let module = "
import os, sqlite3, threading
own = threading.local()
def connected():
    if not hasattr(own, 'connection'):
        own.connection = sqlite3.connect('all.db', timeout=60)
        own.connection.row_factory = sqlite3.Row
        own.connection.execute('create table if not exists t (n unique, data)')
    return own.connection
def work(n):
    with connected() as connection:
        connection.execute('insert or replace into t values (?, ?)', (n, bytes([n])))
        return connection.execute('select * from t where n = ?', (n,))";
    under(&ALL, module, "range = { from = 65, to = 72 }", "", |ran| {
        let expected: Vec<_> = (65..=72)
            .map(|n| format!(r#"[{{"n":{n},"data":"{}"}}]"#, char::from(n as u8)))
            .collect();
        assert_eq!(ran.report().column("result"), expected);
    });
}

#[test]
fn pydantic() {
    let module = "
import datetime, enum, pydantic
class Kind(enum.Enum): NEW = 'new'
class Part(pydantic.BaseModel):
    count: int
class Order(pydantic.BaseModel):
    id: int
    kind: Kind
    when: datetime.date
    parts: list[Part]
def work(text):
    order = Order.model_validate_json(text)
    assert isinstance(order.when, datetime.date)
    return order";
    let text = r#"{"id":"7","kind":"new","when":"2026-01-02","parts":[{"count":"3"}]}"#;
    let rest = "[columns.id]\n[columns.kind]\n[columns.count]\njson = '/parts/0/count'";
    under(&ALL, module, &format!("values = ['{text}']"), rest, |ran| {
        ran.rows("id,kind,count", &["7,new,3"]);
        let whole = r#"{"id":7,"kind":"new","when":"2026-01-02","parts":[{"count":3}]}"#;
        ran.rows("result", &[whole]);
    });
}

#[test]
fn scikit_learn() {
    let module = "
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
x = np.arange(40.0).reshape(-1, 1)
y = 2 * x[:, 0] + 1
def work(alpha):
    model = Ridge(alpha=alpha).fit(x, y)
    return {'score': cross_val_score(model, x, y, cv=4).mean().round(3), 'slope': model.coef_.round(3)}";
    under(&ALL, module, "values = [0.5, 8]", "[columns.score]\n[columns.slope]", |ran| {
        ran.rows("score,slope", &["1.0,[2.0]", "1.0,[1.997]"]);
    });
}
