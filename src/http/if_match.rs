//! `If-Match` and `ETag`: nobody overwrites what he did not read (RFC 9110, section 13.1.1).

use actix_web::HttpRequest;
use actix_web::http::header;

use super::problem::{Kind, Problem};

/// The versions that a change may apply to.
#[derive(Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever it is now.
    Any,
    /// The strong tags of the list, without quotes. Weak ones never match and are left out.
    Tags(Vec<String>),
}

impl IfMatch {
    /// Reads the header: 428 without it, 400 if it is no list of entity tags.
    pub fn required(request: &HttpRequest) -> Result<Self, Problem> {
        let mut lists = Vec::new();
        for value in request.headers().get_all(header::IF_MATCH) {
            lists.push(value.to_str().or(Err(malformed()))?);
        }
        if lists.is_empty() {
            return Err(Kind::IfMatchRequired.into());
        }
        Self::parse(&lists.join(",")).ok_or_else(malformed)
    }

    /// Whether the thing may be changed while it has `version`.
    pub fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&version.to_string()),
        }
    }

    fn parse(list: &str) -> Option<Self> {
        let blank = [' ', '\t'];
        if list.trim_matches(blank) == "*" {
            return Some(Self::Any);
        }
        let (mut rest, mut tags, mut count) = (list.trim_start_matches(blank), Vec::new(), 0);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(',') {
                rest = after.trim_start_matches(blank);
                continue;
            }
            let is_weak = rest.starts_with("W/");
            let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
            let (tag, after) = quoted.split_once('"')?;
            rest = after.trim_start_matches(blank);
            let ends = rest.is_empty() || rest.starts_with(',');
            if !ends || tag.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
                return None;
            }
            count += 1;
            if !is_weak {
                tags.push(tag.to_owned());
            }
        }
        (count > 0).then_some(Self::Tags(tags))
    }
}

/// The `ETag` of a thing with `version`.
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

fn malformed() -> Problem {
    Problem::new(Kind::MalformedRequest).with_detail("If-Match is not a list of entity tags.")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(values: &[&str]) -> Result<IfMatch, Kind> {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((header::IF_MATCH, *value));
        }
        IfMatch::required(&request.to_http_request()).map_err(|problem| problem.kind())
    }

    #[test]
    fn tags_are_compared_strongly() {
        for (value, allows) in [
            ("*", true),
            ("\"7\"", true),
            ("\"6\", \"7\"", true),
            ("W/\"7\"", false),
            ("\"07\"", false),
            ("\"8\"", false),
            ("\"\"", false),
            (", \"7\" ,", true),
            ("\"a,b\"", false),
        ] {
            assert_eq!(read(&[value]).unwrap().allows(7), allows, "{value}");
        }
        assert!(read(&["\"1\"", "\"7\""]).unwrap().allows(7));
        assert!(read(&[&etag(7)]).unwrap().allows(7));
    }

    #[test]
    fn what_is_no_entity_tag_is_malformed_and_nothing_is_required() {
        assert_eq!(read(&[]).unwrap_err(), Kind::IfMatchRequired);
        for bad in
            ["", " ", ",", "7", "\"7", "7\"", "*, \"7\"", "\"7\" \"8\"", "w/\"7\"", "\"a b\""]
        {
            assert_eq!(read(&[bad]).unwrap_err(), Kind::MalformedRequest, "{bad}");
        }
    }
}
