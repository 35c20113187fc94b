//! Objects, and nothing else: what serde derives for a struct reads an array of its members, too.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A struct that is read from an object alone.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData)).map(Object)
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Pair {
        a: u8,
        b: Option<u8>,
    }

    #[test]
    fn an_array_is_not_an_object() {
        let read = |json: &str| serde_json::from_str::<Object<Pair>>(json);
        let Object(Pair { a, b }) = read(r#"{"b":2,"a":1,"c":[]}"#).unwrap();
        assert_eq!((a, b), (1, Some(2)));
        for json in ["[1,2]", "1", "null", r#"{"b":2}"#, r#"{"a":1,"a":1}"#] {
            assert!(read(json).is_err(), "{json}");
        }
        assert!(read("[1,2]").unwrap_err().to_string().contains("expected an object"));
    }
}
