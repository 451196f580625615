//! The table of problems for people: an HTML page per code, and `docs/ERRORS.md`.
//!
//! Both are written from the same rows as the answers, so they cannot say anything else.

use super::Kind;

/// The page of one code.
pub fn html(kind: Kind) -> String {
    let row = kind.row();
    let mut doc = String::new();
    let mut is_code = false;
    for piece in row.doc.trim().split('`') {
        // Every second piece stood between backticks.
        let escaped = escape(piece);
        if is_code {
            doc.push_str("<code>");
            doc.push_str(&escaped);
            doc.push_str("</code>");
        } else {
            doc.push_str(&escaped);
        }
        is_code = !is_code;
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{code}</title>\n\
         <style>body{{font:1rem/1.5 sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}}\
         </style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p><code>{code}</code>, status {status}</p>\n<p>{doc}</p>\n</body>\n</html>\n",
        code = row.code,
        status = row.status,
        title = escape(row.title),
    )
}

const INTRODUCTION: &str = "# Problems

Generated from `src/http/problem/table.rs`; `UPDATE=1 cargo test errors_md` writes it anew.

Every answer that is not a yes is `application/problem+json` (RFC 9457). Clients compare `code`;
`request_id` finds the log line. `validation_failed` and `value_taken` list all faults in `errors`,
each with a `pointer` into the body (RFC 6901) or the name of a query `parameter`.
";

/// The whole of `docs/ERRORS.md`.
pub fn markdown() -> String {
    let sections = Kind::ALL.iter().map(|kind| {
        let row = kind.row();
        let doc = row.doc.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n");
        format!("\n## `{}`\n\n**{}: {}.**\n{doc}\n", row.code, row.status, row.title)
    });
    INTRODUCTION.to_owned() + &sections.collect::<String>()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
