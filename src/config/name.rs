//! The names of jobs.

use std::fmt;
use std::str::FromStr;

use crate::base::setting::deserialize_from_str;

/// The name of a job: it becomes the name of a file, so it has letters, digits, `_` and `-` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobName(String);

impl JobName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// It is the name of the report of all jobs.
    Taken,
    /// It has invalid characters, or none at all.
    Characters(String),
    /// It is too long.
    Long,
}

impl NameError {
    /// The message for the name of a job, a stage or a service.
    pub fn of(&self, what: &str) -> String {
        match self {
            Self::Taken => "`summary` is the name of the report of all jobs; choose another".into(),
            Self::Characters(text) => {
                format!("invalid {what} name `{text}`: use letters, digits, `_` and `-`")
            }
            Self::Long => "is longer than 200 bytes".into(),
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of("job"))
    }
}

impl FromStr for JobName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "summary" {
            return Err(NameError::Taken);
        }
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        if text.is_empty() || !text.chars().all(fits) {
            return Err(NameError::Characters(text.into()));
        }
        // Reports append `.partial` and the like to it, and file systems allow 255 bytes.
        if text.len() > 200 {
            return Err(NameError::Long);
        }
        Ok(Self(text.into()))
    }
}

deserialize_from_str!(JobName, "a string");

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for text in ["a", "count-down", "a_1", "größe", "-"] {
            assert_eq!(text.parse::<JobName>().unwrap().as_str(), text);
        }
        for text in ["", "summary", "a b", "a/b", "..", "a.b", "a\n"] {
            assert!(text.parse::<JobName>().is_err(), "{text}");
        }
    }
}
