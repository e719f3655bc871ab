//! Items as comma-separated values, RFC 4180: null is empty, a list has spaces between, what is nested deeper is JSON. What
//! would act on a terminal is replaced: who needs every byte takes JSON.

use std::io::{self, Write};

use super::Data;
use crate::model::foreign::{json, plain};

pub fn print(out: &mut dyn Write, items: &[Data]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for (at, item) in items.iter().enumerate() {
        let Data::Map(fields) = item else { continue };
        if at == 0 {
            writer.write_record(fields.iter().map(|(key, _)| key))?;
        }
        writer.write_record(fields.iter().map(|(_, value)| text(value)))?;
    }
    writer.flush()
}

fn text(value: &Data) -> String {
    let is_flat = |list: &[Data]| !list.iter().any(|one| matches!(one, Data::List(_) | Data::Map(_)));
    match value {
        Data::Null => String::new(),
        Data::Text(text) => plain(text).into_owned(),
        Data::List(list) if is_flat(list) => list.iter().map(text).collect::<Vec<_>>().join(" "),
        other => json(&serde_json::to_string(other).unwrap_or_default()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let item = Data::Map(vec![
            ("name", "a,\"b\"".into()),
            ("size_bytes", Data::Null),
            ("replicas", vec![1, 2].into()),
            ("parts", Data::List(vec![Data::Map(vec![("p", 1.into())])])),
        ]);
        let mut out = Vec::new();
        print(&mut out, &[item]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "name,size_bytes,replicas,parts\n\"a,\"\"b\"\"\",,1 2,\"[{\"\"p\"\":1}]\"\n"
        );
    }
}
