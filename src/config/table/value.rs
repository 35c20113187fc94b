//! Values of a job file as what their readers ask for, by serde, with errors that are types.

use std::fmt::{self, Display};
use std::ops::Range;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// A value, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'v>(pub &'v Spanned<DeValue<'v>>);

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Misfit {
    wrong: Wrong,
    /// Of the innermost value that does not fit.
    pub place: Option<Range<usize>>,
}

#[derive(Debug)]
enum Wrong {
    Mismatch {
        found: String,
        expected: String,
    },
    /// What a type of ours says of its text.
    Told(String),
}

impl Misfit {
    fn new(wrong: Wrong) -> Self {
        Self { wrong, place: None }
    }

    fn mismatch(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Seq => "an array".into(),
            Unexpected::Map => "a table".into(),
            Unexpected::Float(number) => format!("the number `{number:?}`"),
            other => format!("the {other}"),
        };
        let expected = match expected.to_string().as_str() {
            "u8" | "u16" | "u32" | "u64" | "usize" => "an integer of 0 or more".into(),
            "i8" | "i16" | "i32" | "i64" | "isize" => "an integer".into(),
            "f32" | "f64" => "a number".into(),
            "a boolean" => "`true` or `false`".into(),
            "a sequence" => "an array".into(),
            "a map" => "a table".into(),
            other => other.to_owned(),
        };
        Self::new(Wrong::Mismatch { found, expected })
    }

    /// What is to be said of the value of `key`.
    pub(super) fn words(&self, key: &str) -> String {
        match &self.wrong {
            Wrong::Mismatch { found, expected } => {
                format!("`{key}` must be {expected}, not {found}")
            }
            // Some types say what the key must be, others name the value that is wrong.
            Wrong::Told(words) if words.starts_with("must ") || words.starts_with("is ") => {
                format!("`{key}` {words}")
            }
            Wrong::Told(words) => format!("`{key}`: {words}"),
        }
    }
}

impl Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words("value"))
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: Display>(words: T) -> Self {
        Self::new(Wrong::Told(words.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::mismatch(found, expected)
    }
}

impl Raw<'_> {
    /// A misfit that is at this value, unless it is at one inside it.
    fn place(self, misfit: Misfit) -> Misfit {
        Misfit { place: misfit.place.or_else(|| Some(self.0.span())), ..misfit }
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for Raw<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Raw<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let read = match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_borrowed_str(text),
            DeValue::Integer(number) => visit_integer(number, visitor),
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(de::Error::custom(format!("`{number}` is not a number"))),
            },
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Datetime(time) => {
                let found = format!("date `{time}`");
                Err(de::Error::invalid_type(Unexpected::Other(&found), &visitor))
            }
            DeValue::Array(values) => {
                visitor.visit_seq(SeqDeserializer::new(values.iter().map(Raw)))
            }
            DeValue::Table(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| (key.get_ref().as_ref(), Raw(value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        };
        read.map_err(|misfit| self.place(misfit))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0.get_ref() {
            DeValue::String(name) => {
                visitor.visit_enum(StrDeserializer::new(name)).map_err(|misfit| self.place(misfit))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

fn visit_integer<'de, V: Visitor<'de>>(
    number: &DeInteger<'_>,
    visitor: V,
) -> Result<V::Value, Misfit> {
    if let Ok(value) = i64::from_str_radix(number.as_str(), number.radix()) {
        return visitor.visit_i64(value);
    }
    match u64::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) => visitor.visit_u64(value),
        Err(_) => Err(de::Error::custom(format!("the integer `{number}` is too large"))),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use toml::de::DeTable;

    use super::*;
    use crate::base::Count;

    /// What is said of the value, and the text at its place.
    fn told<T: DeserializeOwned>(value: &str) -> (String, String) {
        let document = format!("limit = {value}");
        let table = DeTable::parse(&document).unwrap();
        let Err(misfit) = T::deserialize(Raw(&table.get_ref()["limit"])) else {
            return ("fits".into(), value.into());
        };
        (misfit.words("limit"), document[misfit.place.unwrap()].to_owned())
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
    }

    #[test]
    fn misfits_are_told_in_the_users_words() {
        for (found, words, place) in [
            (told::<u64>("\"x\""), "an integer of 0 or more, not the string \"x\"", "\"x\""),
            (told::<u64>("-1"), "an integer of 0 or more, not the integer `-1`", "-1"),
            (told::<String>("{ a = 1 }"), "a string, not a table", "{ a = 1 }"),
            (told::<bool>("1.0"), "`true` or `false`, not the number `1.0`", "1.0"),
            (told::<String>("1979-05-27"), "a string, not the date `1979-05-27`", "1979-05-27"),
            (told::<Vec<i32>>("[1, [2]]"), "an integer, not an array", "[2]"),
        ] {
            assert_eq!(found, (format!("`limit` must be {words}"), place.to_owned()));
        }
        let large = "99999999999999999999";
        let words = format!("`limit`: the integer `{large}` is too large");
        assert_eq!(told::<i64>(large), (words, large.to_owned()));
        assert_eq!(told::<Colour>("\"red\"").0, "fits");
        assert!(told::<Colour>("\"blue\"").0.contains("expected `red`"));
        assert!(matches!(Colour::Red, Colour::Red));
        assert!(told::<Count>("0").0.starts_with("`limit` must be "), "{:?}", told::<Count>("0"));
    }

    #[test]
    fn what_fits_is_read() {
        assert_eq!(told::<u64>("0x10").0, "fits");
        assert_eq!(told::<f64>("1").0, "fits");
        assert_eq!(told::<Option<f64>>("inf").0, "fits");
        assert_eq!(told::<u64>("18446744073709551615").0, "fits");
        assert_eq!(told::<std::collections::BTreeMap<String, Vec<u8>>>("{ a = [1] }").0, "fits");
    }
}
