//! Profile fields in the access token: which names are free, and how long all of them together can get (JWT-16).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::build::SchemaError;
use super::rules::{FieldRule, Reader};
use super::{ProfileSchema, keywords};
use crate::domain::json;

/// LIMIT: `api.md`, section 4: a token stays below 3 500 bytes with this much of them.
const BYTES_MAX: u64 = 512;

/// Names that say something to verifiers already: the claims of our tokens (`api.md`, section 3) and the registry
/// "JSON Web Token Claims" that RFC 7519, 10.1, sets up.
const TAKEN: &str = "\
    iss sub aud exp iat nbf jti sid client_id scope roles auth_time amr email email_verified \
    name given_name family_name middle_name nickname preferred_username profile picture website \
    gender birthdate zoneinfo locale phone_number phone_number_verified address updated_at azp \
    nonce at_hash c_hash acr sub_jwk cnf sip_from_tag sip_date sip_callid sip_cseq_num \
    sip_via_branch orig dest mky events toe txn rph vot vtm attest origid act may_act jcard \
    at_use_nbr div opt vc vp sph ace_profile cnonce exi groups entitlements token_introspection \
    eat_nonce ueid sueids oemid hwmodel hwversion oemboot dbgstat location eat_profile submods \
    uptime bootcount bootseed dloas swname swversion manifests measurements measres intuse \
    cdniv cdnicrit cdniip cdniuc cdniets cdnistt cdnistd sig_val_claims authorization_details \
    verified_claims place_of_birth nationalities birth_family_name birth_given_name \
    birth_middle_name salutation title msisdn also_known_as htm htu ath atc sub_id rcd rcdi crn \
    msgi _claim_names _claim_sources rdap_allowed_purposes rdap_dnt_allowed geohash _sd ... \
    _sd_alg sd_hash consumerPlmnId consumerSnpnId producerPlmnId producerSnpnId \
    producerSnssaiList producerNsiList producerNfSetId producerNfServiceSetId \
    sourceNfInstanceId analyticsIdList resOwnerId vct vct#integrity status status_list ttl \
    keys jwks metadata constraints";

impl ProfileSchema {
    /// What `profile` puts into an access token, by the names of the claims.
    ///
    /// A value that no longer fits its field stays out: it was stored under an earlier schema, and only what fits is
    /// sure to be short enough (JWT-16).
    pub fn claims(&self, profile: &Map<String, Value>) -> BTreeMap<String, Value> {
        let declared: Vec<(&str, &str)> =
            self.rules().filter_map(|(name, rule)| Some((name, rule.claim.as_deref()?))).collect();
        if declared.is_empty() {
            return BTreeMap::new();
        }
        let unfit = self.unfit(profile);
        let fit = declared.into_iter().filter(|(name, _)| !unfit.contains(*name));
        let with_value = fit.filter_map(|(name, claim)| {
            let value = profile.get(name).filter(|value| !value.is_null())?;
            Some((claim.to_owned(), value.clone()))
        });
        with_value.collect()
    }

    /// The names of the members that have a fault.
    fn unfit(&self, profile: &Map<String, Value>) -> BTreeSet<String> {
        let found = self.all_faults(&Value::Object(profile.clone()), "");
        found.iter().filter_map(|fault| super::member_of(&fault.pointer, "")).collect()
    }
}

/// Refuses claims whose name is taken or used twice, that users may not read, or that could get too long.
pub(super) fn check(json: &Value, rules: &[(String, FieldRule)], errors: &mut Vec<SchemaError>) {
    let (mut names, mut bytes) = (BTreeSet::new(), 0_u64);
    for (name, rule) in rules {
        let Some(claim) = rule.claim.as_deref() else { continue };
        let field = json::join("/properties", name);
        let at = json::join(&json::join(&field, "x-portcullis"), "claim");
        let mut refuse = |detail: &str| errors.push(SchemaError::new(at.as_str(), detail));
        if TAKEN.split(' ').any(|taken| taken == claim) {
            refuse("is the name of a claim that has a meaning already");
        }
        if !names.insert(claim) {
            refuse("names a claim that another member has");
        }
        // SECURITY: AUZ-07. A token is in the hands of its user.
        if rule.read == Reader::Admin {
            refuse("would show users what `read` keeps from them");
        }
        match json.pointer(&field).and_then(longest) {
            None => refuse("has no bound: give the member enum or const, or type and maxLength"),
            Some(value) => {
                // `"name":value,`
                let own = keywords::compact_bytes(&Value::from(claim)) + 2;
                let before = bytes;
                bytes = bytes.saturating_add(own).saturating_add(value);
                if before <= BYTES_MAX && bytes > BYTES_MAX {
                    refuse("makes all claims together longer than 512 bytes");
                }
            }
        }
    }
}

/// The longest value of a field in bytes of compact JSON; `None` without a bound.
fn longest(field: &Value) -> Option<u64> {
    if let Some(value) = field.get("const") {
        return Some(keywords::compact_bytes(value));
    }
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        return Some(values.iter().map(keywords::compact_bytes).max().unwrap_or(0));
    }
    match field.get("type")?.as_str()? {
        "boolean" => Some(5),
        // LIMIT: `-2.2250738585072014e-308`; a larger whole number is read as one of these.
        "number" | "integer" => Some(24),
        "string" => {
            let quotes = 2;
            let format = field.get("format").and_then(Value::as_str);
            let text = match format.unwrap_or_default() {
                "e164" => 16,
                "date" => 10,
                "bcp47" => 35,
                "iana-timezone" => 64,
                // A control character is six: `\u0007`.
                _ => field.get("maxLength")?.as_u64()?.saturating_mul(6),
            };
            Some(text.saturating_add(quotes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(properties: &Value) -> Result<ProfileSchema, Vec<SchemaError>> {
        let whole =
            json!({ "type": "object", "additionalProperties": false, "properties": properties });
        ProfileSchema::from_json(&whole.to_string())
    }

    /// A field that goes into the token as `claim`.
    fn with_claim(mut field: Value, claim: &str) -> Value {
        field["x-portcullis"] = json!({ "claim": claim });
        field
    }

    fn text(length: u64) -> Value {
        json!({ "type": "string", "maxLength": length })
    }

    #[test]
    fn jwt_17_a_claim_that_has_a_meaning_is_no_name_for_another() {
        for name in portcullis_verify::Claims::RESERVED {
            assert!(TAKEN.split(' ').any(|taken| taken == name), "{name}");
        }
        for name in
            ["sub", "sid", "roles", "email_verified", "azp", "cnf", "act", "nonce", "locale"]
        {
            let errors = schema(&json!({ "a": with_claim(text(5), name) })).unwrap_err();
            let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
            let expected = "#/properties/a/x-portcullis/claim: is the name of a claim that has a meaning already";
            assert_eq!(shown, [expected], "{name}");
        }
        for name in ["nick", "Sub", "https://example.org/plan", "é"] {
            assert!(schema(&json!({ "a": with_claim(text(5), name) })).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_claim_is_declared_once() {
        let errors =
            schema(&json!({ "a": with_claim(text(5), "x"), "b": with_claim(text(5), "x") }));
        let at: Vec<_> = errors.unwrap_err().into_iter().map(|error| error.pointer).collect();
        assert_eq!(at, ["/properties/b/x-portcullis/claim"]);
    }

    #[test]
    fn auz_07_what_users_may_not_read_is_no_claim() {
        let field = |rule: Value| json!({ "a": { "type": "boolean", "x-portcullis": rule } });
        let errors = schema(&field(json!({ "read": "admin", "claim": "x" }))).unwrap_err();
        assert_eq!(errors[0].pointer, "/properties/a/x-portcullis/claim");
        assert!(schema(&field(json!({ "write": "admin", "claim": "x" }))).is_ok());
        assert!(schema(&field(json!({ "read": "admin" }))).is_ok());
    }

    #[test]
    fn jwt_16_every_claim_has_a_bound() {
        let bounds = [
            (json!({ "const": "abc" }), Some(5)),
            (json!({ "enum": ["a", "\u{7}", 12_345, null, { "a": [1, 2] }] }), Some(11)),
            (json!({ "enum": ["é"], "type": "string", "maxLength": 9 }), Some(4)),
            (text(10), Some(62)),
            (json!({ "type": "string", "format": "e164" }), Some(18)),
            (json!({ "type": "string", "format": "date" }), Some(12)),
            (json!({ "type": "string", "format": "bcp47" }), Some(37)),
            (json!({ "type": "string", "format": "iana-timezone", "maxLength": 9 }), Some(66)),
            (json!({ "type": "string", "format": "uri", "maxLength": 9 }), Some(56)),
            (json!({ "type": "boolean" }), Some(5)),
            (json!({ "type": "number" }), Some(24)),
            (json!({ "type": "integer" }), Some(24)),
            (json!({ "type": "string" }), None),
            (json!({ "type": "string", "format": "email" }), None),
            (json!({ "type": "string", "pattern": "^a$" }), None),
            (json!({ "maxLength": 10 }), None),
            (json!({ "format": "date" }), None),
            (json!({ "type": ["string", "null"], "maxLength": 10 }), None),
            (json!({ "type": "array", "maxItems": 1, "items": { "type": "boolean" } }), None),
            (json!({ "type": "object", "x-maxBytes": 5 }), None),
            (json!({ "type": "null" }), None),
            (json!({ "$ref": "#/properties/b" }), None),
            (json!({}), None),
            (json!(true), None),
        ];
        for (field, bound) in bounds {
            assert_eq!(longest(&field), bound, "{field}");
            if field.is_object() {
                let made = schema(&json!({ "a": with_claim(field.clone(), "x"), "b": true }));
                assert_eq!(made.is_ok(), bound.is_some(), "{field}");
            }
        }
    }

    #[test]
    fn jwt_16_all_claims_together_are_bounded() {
        // `"x":"…",` is 7 bytes around 84 or 85 characters of 6.
        assert!(schema(&json!({ "a": with_claim(text(84), "x") })).is_ok());
        let one = schema(&json!({ "a": with_claim(text(85), "x") })).unwrap_err();
        assert_eq!(one[0].pointer, "/properties/a/x-portcullis/claim");
        assert!(schema(&json!({ "a": with_claim(text(u64::MAX), "x") })).is_err());
        let many = |count: u32| -> Value {
            (0..count)
                .map(|n| {
                    (
                        format!("f{n:02}"),
                        with_claim(json!({ "type": "boolean" }), &format!("c{n:02}")),
                    )
                })
                .collect()
        };
        // `"c00":false,` is 12 bytes.
        assert!(schema(&many(42)).is_ok());
        let errors = schema(&many(60)).unwrap_err();
        let at: Vec<_> = errors.into_iter().map(|error| error.pointer).collect();
        assert_eq!(at, ["/properties/f42/x-portcullis/claim"], "the first that is too much");
        assert!(
            schema(&json!({ "a": with_claim(json!({ "type": "boolean" }), &"n".repeat(504)) }))
                .is_err()
        );
    }

    #[test]
    fn only_what_is_set_and_fits_goes_into_a_token() {
        let schema = schema(&json!({
            "plan": with_claim(json!({ "enum": ["free", "paid", null] }), "tier"),
            "age": with_claim(json!({ "type": "integer", "maximum": 150 }), "age"),
            "bio": text(10),
        }))
        .unwrap();
        let claims = |profile: Value| {
            let Value::Object(profile) = profile else { panic!("{profile}") };
            serde_json::to_value(schema.claims(&profile)).unwrap()
        };
        assert_eq!(
            claims(json!({ "plan": "paid", "age": 7, "bio": "x" })),
            json!({ "tier": "paid", "age": 7 })
        );
        assert_eq!(claims(json!({ "plan": null })), json!({}));
        // Stored under other schemas.
        let stored =
            json!({ "plan": "gold".repeat(1000), "age": 7, "bio": "x".repeat(11), "gone": 1 });
        assert_eq!(claims(stored), json!({ "age": 7 }));
        assert_eq!(claims(json!({ "plan": "free", "age": "seven" })), json!({ "tier": "free" }));
    }
}
