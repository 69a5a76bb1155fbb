//! The two text formats from one encoder.
//!
//! prometheus-client writes OpenMetrics text, piece by piece. [`TextWriter`] stands between it and the buffer:
//! samples, which are nearly everything, pass through untouched; comment lines are held until they are whole
//! and then written as the dialect wants them. At its end a family is put in order, in place where it already is.
//! So there is no intermediate copy of an exposition.

use std::fmt;

use super::order::ordered;

/// A text exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `text/plain; version=0.0.4`: a counter's comments carry its full name; no units, no end mark.
    Classic,
    /// OpenMetrics text.
    OpenMetrics,
}

/// Rewrites the comment lines of prometheus-client's output on their way to `out`.
pub(super) struct TextWriter<'a> {
    out: &'a mut String,
    dialect: Dialect,
    position: Position,
    comment: String,
    /// The `HELP` line's name and text, until the `TYPE` line says what the family's full name is.
    help: String,
    /// Where the samples of the current family begin in `out`.
    samples: usize,
    is_histogram: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    LineStart,
    Sample,
    Comment,
}

impl<'a> TextWriter<'a> {
    pub(super) fn new(out: &'a mut String, dialect: Dialect) -> Self {
        Self {
            samples: out.len(),
            out,
            dialect,
            position: Position::LineStart,
            comment: String::new(),
            help: String::new(),
            is_histogram: false,
        }
    }

    /// Puts the samples of the family that ends here in order.
    fn finish_family(&mut self) {
        let samples = self.out.get(self.samples..).unwrap_or_default();
        if let Some(samples) = ordered(samples, self.is_histogram) {
            self.out.truncate(self.samples);
            self.out.push_str(&samples);
        }
        self.samples = self.out.len();
    }

    fn finish_comment(&mut self) {
        self.finish_family();
        let line = self.comment.trim_end_matches('\n');
        if let Some(help) = line.strip_prefix("# HELP ") {
            // The registry ends every help text with a full stop of its own.
            help.strip_suffix('.').unwrap_or(help).clone_into(&mut self.help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            self.is_histogram = kind == "histogram";
            let (suffix, kind) = match self.dialect {
                Dialect::OpenMetrics => ("", kind),
                Dialect::Classic => classic_type(kind),
            };
            let help = self.help.strip_prefix(name).unwrap_or_default();
            for part in ["# HELP ", name, suffix, help, "\n# TYPE ", name, suffix, " ", kind, "\n"] {
                self.out.push_str(part);
            }
        } else if self.dialect == Dialect::OpenMetrics {
            self.out.push_str(&self.comment);
        }
        self.samples = self.out.len();
        self.comment.clear();
    }
}

/// What the classic format calls an OpenMetrics type, and what it appends to the family's name.
fn classic_type(kind: &str) -> (&'static str, &str) {
    match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        other => ("", other),
    }
}

impl fmt::Write for TextWriter<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let Some((last, before)) = piece.as_bytes().split_last() else { return Ok(()) };
        // The encoder writes a line break only as the end of a piece: those of label values are escaped.
        debug_assert!(!before.contains(&b'\n'), "a line break inside {piece:?}");
        if self.position == Position::LineStart {
            self.position = if piece.starts_with('#') { Position::Comment } else { Position::Sample };
        }
        let ends_line = *last == b'\n';
        if self.position == Position::Comment {
            self.comment.push_str(piece);
            if ends_line {
                self.finish_comment();
            }
        } else {
            self.out.push_str(piece);
        }
        if ends_line {
            self.position = Position::LineStart;
        }
        Ok(())
    }
}
