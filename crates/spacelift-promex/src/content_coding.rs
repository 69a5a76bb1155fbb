//! The content coding of a response: none or gzip.

use std::io::{self, Read};

use bytes::Bytes;
use exporter_common::upstream::one_line;
use flate2::bufread::MultiGzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::failure::Failure;

/// The value of `Accept-Encoding`.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip");

/// Maximum number of characters of an unknown coding in an error message.
const MAX_NAME: usize = 50;

/// A supported content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    Identity,
    Gzip,
}

impl ContentCoding {
    /// Returns the coding of a response with these headers.
    ///
    /// # Errors
    /// Returns an error that names the coding if it is not supported.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let values =
            headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let list = values.collect::<Vec<_>>().join(",").to_ascii_lowercase();
        let mut codings =
            list.split(',').map(str::trim).filter(|coding| !coding.is_empty() && *coding != "identity");
        match (codings.next(), codings.next()) {
            (None, _) => Ok(Self::Identity),
            (Some("gzip" | "x-gzip"), None) => Ok(Self::Gzip),
            _ => Err(Failure::Invalid(format!(
                "its Content-Encoding is {}, and only gzip is supported",
                one_line(list.trim(), MAX_NAME)
            ))),
        }
    }

    /// Returns the decoded body.
    ///
    /// # Errors
    /// Returns an error if the decoded body is longer than `max` bytes, or if the body is damaged.
    pub(crate) fn decode(self, body: Bytes, max: usize) -> Result<Bytes, Failure> {
        match self {
            Self::Gzip if !body.is_empty() => gunzip(&body, max),
            _ => Ok(body),
        }
    }
}

fn gunzip(body: &[u8], max: usize) -> Result<Bytes, Failure> {
    let mut plain = Vec::new();
    // Reads one byte more than allowed, to detect a longer body. A small compressed body can decode to an endless one.
    let mut decoder = MultiGzDecoder::new(body).take(max as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|error| {
        Failure::Invalid(match error.kind() {
            io::ErrorKind::UnexpectedEof => "gzip that ends too early".to_owned(),
            _ => "not gzip, although its Content-Encoding is gzip".to_owned(),
        })
    })?;
    if plain.len() > max { Err(Failure::TooLarge(max)) } else { Ok(plain.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn coding(values: &[&'static str]) -> Result<ContentCoding, Failure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        ContentCoding::of(&headers)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn supports_gzip_and_names_other_codings() {
        assert_eq!(coding(&[]), Ok(ContentCoding::Identity));
        assert_eq!(coding(&["identity"]), Ok(ContentCoding::Identity));
        assert_eq!(coding(&[""]), Ok(ContentCoding::Identity));
        for name in ["gzip", "GZIP", "x-gzip", "identity, gzip"] {
            assert_eq!(coding(&[name]), Ok(ContentCoding::Gzip), "{name}");
        }
        for (values, name) in
            [(&["br"][..], " br,"), (&["gzip, gzip"], " gzip, gzip,"), (&["zstd", "gzip"], " zstd,gzip,")]
        {
            let error = coding(values).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn bounds_the_decoded_length() {
        let decode = |body: Vec<u8>, max| ContentCoding::Gzip.decode(body.into(), max);
        let body = gzip(&[b'x'; 1000]);
        assert_eq!(decode(body.clone(), 1000).unwrap(), Bytes::from(vec![b'x'; 1000]));
        assert_eq!(decode(body.clone(), 999), Err(Failure::TooLarge(999)));
        let two = [body.clone(), gzip(b"y")].concat();
        assert_eq!(decode(two, 2000).unwrap().len(), 1001, "gzip members are concatenated");
        let cut = decode(body[..body.len() - 9].to_vec(), 2000).unwrap_err().to_string();
        assert!(cut.contains("ends too early"), "{cut}");
        let other = decode(b"{\"data\":{}}".to_vec(), 2000).unwrap_err().to_string();
        assert!(other.contains("not gzip"), "{other}");
        assert_eq!(decode(Vec::new(), 10).unwrap(), Bytes::new());
    }
}
