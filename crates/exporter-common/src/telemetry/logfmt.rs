//! Log lines as logfmt: `ts=… level=info target=… msg="…" key=value`.
//!
//! The crate `tracing-logfmt` would add five dependencies, mostly for its timestamp.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Formats events without their spans, like the JSON format.
#[derive(Debug)]
pub(super) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str("ts=")?;
        SystemTime.format_time(&mut writer)?;
        let level = metadata.level().as_str().to_ascii_lowercase();
        write!(writer, " level={level} target={}", metadata.target())?;
        let mut fields = FieldWriter { writer: &mut writer, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        writeln!(writer)
    }
}

/// Writes ` key=value` for each field.
struct FieldWriter<'a, 'w> {
    writer: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl Visit for FieldWriter<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let key = match field.name() {
            "message" => "msg",
            name => name.strip_prefix("r#").unwrap_or(name),
        };
        self.result = self.result.and_then(|()| write_pair(self.writer, key, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn write_pair(writer: &mut impl Write, key: &str, value: &str) -> fmt::Result {
    let is_plain =
        !value.is_empty() && value.chars().all(|c| c > ' ' && !c.is_control() && !"=\"\\".contains(c));
    if is_plain {
        return write!(writer, " {key}={value}");
    }
    write!(writer, " {key}=\"")?;
    for c in value.chars() {
        match c {
            '"' | '\\' => write!(writer, "\\{c}")?,
            '\n' => writer.write_str("\\n")?,
            '\r' => writer.write_str("\\r")?,
            '\t' => writer.write_str("\\t")?,
            c if c.is_control() => write!(writer, "\\u{:04x}", u32::from(c))?,
            c => writer.write_char(c)?,
        }
    }
    writer.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_values_with_special_characters() {
        for (value, written) in [
            ("plain-1.5s", " k=plain-1.5s"),
            ("größer", " k=größer"),
            ("", " k=\"\""),
            ("two words", " k=\"two words\""),
            ("a=b", " k=\"a=b\""),
            ("say \"x\\y\"\n", " k=\"say \\\"x\\\\y\\\"\\n\""),
            ("\u{1b}[0m", " k=\"\\u001b[0m\""),
        ] {
            let mut line = String::new();
            write_pair(&mut line, "k", value).unwrap();
            assert_eq!(line, written);
        }
    }
}
