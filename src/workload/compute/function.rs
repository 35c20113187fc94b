//! The names of the built-in functions, what each is good for, and what each accepts.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::cpu::SystemCalls;
use super::{Halt, Poll, count, file, integer, unreadable};
use crate::base::diagnostic::nearest;

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// Counts from n down to 0, a step at a time; the value is `0`. Pure processor time without memory: how well a
    /// model spreads work over cores, and with n = 1 what a task costs by itself.
    CountDown,
    /// n!, as its digits and a digest. Big integers: processor time in bursts, with allocations of up to megabytes.
    Factorial,
    /// The n-th Fibonacci number: as it is up to 1,000 digits, above that its digits and a digest. Big integers, with
    /// few and large multiplications, so that one task is long.
    Fibonacci,
    /// How many primes there are up to and including n. A sieve: bound by the processor's caches, in constant memory.
    CountPrimes,
    /// The SHA-256 of a file in hexadecimal, as `sha256sum` has it. Reading first, then processor time: bound by the
    /// disk when the file is not in memory.
    Sha256,
    /// The same of what the stage before has handed on: `sha256` without an `arg`. It has no name of its own.
    Sha256OfPayload,
}

/// No function of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFunction(String);

/// Above it, n! has more than 65,657,060 digits and its parts no longer fit the time between two polls.
const MAX_FACTORIAL: u64 = 10_000_000;

/// Above it, the number has more than 41,797,527 digits; see [`MAX_FACTORIAL`].
const MAX_FIBONACCI: u64 = 200_000_000;

impl Function {
    /// Every function.
    pub const ALL: [Function; 5] = [
        Function::CountDown,
        Function::Factorial,
        Function::Fibonacci,
        Function::CountPrimes,
        Function::Sha256,
    ];

    /// The word for it in job files.
    pub fn name(self) -> &'static str {
        match self {
            Function::CountDown => "count_down",
            Function::Factorial => "factorial",
            Function::Fibonacci => "fibonacci",
            Function::CountPrimes => "count_primes",
            Function::Sha256 | Function::Sha256OfPayload => "sha256",
        }
    }

    /// The largest number that it takes; `None` if it takes a path.
    fn max(self) -> Option<u64> {
        match self {
            Function::CountDown | Function::CountPrimes => Some(u64::MAX),
            Function::Factorial => Some(MAX_FACTORIAL),
            Function::Fibonacci => Some(MAX_FIBONACCI),
            Function::Sha256 | Function::Sha256OfPayload => None,
        }
    }

    /// An argument as it stands in a job file, for help.
    pub(super) fn example(self) -> &'static str {
        match self.max() {
            Some(_) => "10000",
            None => "\"photos/a.jpg\"",
        }
    }

    /// Whether it calls the system, beyond asking for memory.
    pub(super) fn system_calls(self) -> SystemCalls {
        match self {
            Function::Sha256 | Function::Sha256OfPayload => SystemCalls::Some,
            _ => SystemCalls::None,
        }
    }

    /// Says what is wrong with an argument that is the same for every task: in the plan, instead of in every row.
    pub(super) fn check_literal(self, text: &str, folder: &Path) -> Result<(), String> {
        if let Some(max) = self.max() {
            return self.number(text.as_bytes(), max).map(drop);
        }
        let found = folder.join(text).metadata();
        found.map(drop).map_err(|error| unreadable(Path::new(text), &error))
    }

    /// Calls it.
    pub(super) fn call(self, arg: &[u8], folder: &Path, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
        let Some(max) = self.max() else {
            if let (Function::Sha256OfPayload, Some(bytes)) = (self, arg.strip_prefix(b"=")) {
                return file::sha256_of(bytes, poll);
            }
            return file::sha256(Path::new(OsStr::from_bytes(arg)), folder, poll);
        };
        let number = self.number(arg, max).map_err(Halt::Failed)?;
        match self {
            Function::CountDown => count::count_down(number, poll),
            Function::CountPrimes => count::count_primes(number, poll),
            Function::Factorial => integer::factorial(number, poll),
            Function::Fibonacci => integer::fibonacci(number, poll),
            Function::Sha256 | Function::Sha256OfPayload => unreachable!("it takes no number"),
        }
    }

    /// Reads a whole number from 0 to `max`. Blanks around it are not held against a CSV file.
    fn number(self, arg: &[u8], max: u64) -> Result<u64, String> {
        if let Some(number) = plain_number(arg, max) {
            return Ok(number);
        }
        let text = String::from_utf8_lossy(arg.trim_ascii());
        let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{text}` is not a whole number"));
        }
        if text.starts_with('-') && digits.bytes().any(|byte| byte != b'0') {
            return Err(format!("`{text}` is negative: `{self}` takes a whole number from 0"));
        }
        match digits.parse() {
            Ok(number) if number <= max => Ok(number),
            _ => Err(format!("`{text}` is too large: `{self}` takes at most {max}")),
        }
    }
}

/// The number if it is written as most are: in digits alone.
fn plain_number(arg: &[u8], max: u64) -> Option<u64> {
    let digits = std::str::from_utf8(arg).ok().filter(|text| !text.starts_with('+'))?;
    digits.parse().ok().filter(|&number| number <= max)
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Function {
    type Err = UnknownFunction;

    fn from_str(name: &str) -> Result<Self, UnknownFunction> {
        let known = Function::ALL.into_iter().find(|function| function.name() == name);
        known.ok_or_else(|| UnknownFunction(name.to_owned()))
    }
}

impl UnknownFunction {
    /// The way out: what was probably meant, else every name.
    pub fn help(&self) -> String {
        if let Some(name) = nearest(&self.0, Function::ALL.map(Function::name)) {
            return format!("did you mean `{name}`?");
        }
        let names = Function::ALL.map(|function| format!("`{function}`")).join(", ");
        format!("the functions are {names}")
    }
}

impl fmt::Display for UnknownFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown function `{}`", self.0)
    }
}

impl std::error::Error for UnknownFunction {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for function in Function::ALL {
            assert_eq!(function.to_string().parse(), Ok(function));
            assert_eq!(serde_json::to_string(&function).unwrap(), format!("\"{function}\""));
        }
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion() {
        let error = "factorail".parse::<Function>().unwrap_err();
        assert_eq!(error.to_string(), "unknown function `factorail`");
        assert_eq!(error.help(), "did you mean `factorial`?");
        let help = "xyz".parse::<Function>().unwrap_err().help();
        assert!(help.ends_with("`count_primes`, `sha256`"), "{help}");
    }

    #[test]
    fn arguments_are_whole_numbers_in_range() {
        let read = |function: Function, arg: &str| {
            function.number(arg.as_bytes(), function.max().unwrap())
        };
        assert_eq!(read(Function::CountDown, "18446744073709551615"), Ok(u64::MAX));
        assert_eq!(read(Function::CountDown, " +7 "), Ok(7));
        assert_eq!(read(Function::CountDown, "-0"), Ok(0));
        for (arg, error) in [
            ("", "`` is not a whole number"),
            ("1e6", "`1e6` is not a whole number"),
            ("10.0", "`10.0` is not a whole number"),
            ("--1", "`--1` is not a whole number"),
            ("-5", "`-5` is negative: `factorial` takes a whole number from 0"),
            ("1000000000000", "`1000000000000` is too large: `factorial` takes at most 10000000"),
            (
                "99999999999999999999",
                "`99999999999999999999` is too large: `factorial` takes at most 10000000",
            ),
        ] {
            assert_eq!(read(Function::Factorial, arg), Err(error.to_owned()));
        }
    }

    #[test]
    fn a_literal_path_must_exist() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(Function::Sha256.check_literal("Cargo.toml", folder), Ok(()));
        let error = Function::Sha256.check_literal("no-such-file", folder).unwrap_err();
        assert_eq!(error, "failed to read `no-such-file`: no such file or directory");
    }
}
