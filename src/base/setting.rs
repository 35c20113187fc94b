//! What the small types of single settings share: they are read from a string of the file.

/// Implements `Deserialize` by `FromStr`; `$expecting` tells the user what is accepted.
macro_rules! deserialize_from_str {
    ($type:ty, $expecting:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

/// Implements `Deserialize` for what is an integer or a string, by `FromStr` and by `$from`, a function of a `u64` that
/// returns `None` for one that is not accepted.
macro_rules! deserialize_from_integer_or_str {
    ($type:ty, $expecting:literal, $from:expr) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::{Error, Unexpected};
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_u64<E: Error>(self, integer: u64) -> Result<$type, E> {
                        let wrong = || E::invalid_value(Unexpected::Unsigned(integer), &self);
                        $from(integer).ok_or_else(wrong)
                    }

                    fn visit_i64<E: Error>(self, integer: i64) -> Result<$type, E> {
                        let wrong = || E::invalid_value(Unexpected::Signed(integer), &self);
                        u64::try_from(integer).ok().and_then($from).ok_or_else(wrong)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    };
}

/// Gives the variants of an enum their names in files: `FromStr`, `Display`, `Deserialize` and `NAMES`, the table of both.
macro_rules! named {
    ($type:ident, $expecting:literal, $($name:literal => $variant:ident),+ $(,)?) => {
        impl $type {
            /// The names in files.
            pub(crate) const NAMES: &[(&'static str, Self)] = &[$(($name, Self::$variant)),+];
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $crate::base::setting::choose(text, Self::NAMES)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name),+
                })
            }
        }

        $crate::base::setting::deserialize_from_str!($type, $expecting);
    };
}

pub(crate) use {deserialize_from_integer_or_str, deserialize_from_str, named};

/// Finds the choice with this name; the error lists all of them.
pub(crate) fn choose<T: Copy>(word: &str, choices: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == word) {
        return Ok(*choice);
    }
    let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
    let (last, others) = names.split_last().expect("there are choices");
    Err(format!("must be {} or {last}, not `{word}`", others.join(", ")))
}
