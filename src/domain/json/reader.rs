//! The recursive reader behind [`super::parse`]: RFC 8259 to the letter, over text that is UTF-8.
//!
//! It recurses once a level and checks the depth first, so the stack is bounded. A number that is
//! too large is noted and reading goes on: bytes that are no JSON are told before it.

use super::{Map, Number, Value, join};

/// What was found wrong first, as the end of a sentence.
type Read<T> = Result<T, &'static str>;

pub(super) struct Reader<'a> {
    rest: &'a str,
    depth_left: usize,
    path: Vec<Step>,
    out_of_range: Vec<String>,
}

enum Step {
    Item(usize),
    Member(String),
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, depth_max: usize) -> Self {
        Self { rest: text, depth_left: depth_max, path: Vec::new(), out_of_range: Vec::new() }
    }

    /// Pointers to the numbers that became `null` because no `f64` holds them.
    pub(super) fn into_out_of_range(self) -> Vec<String> {
        self.out_of_range
    }

    pub(super) fn document(&mut self) -> Read<Value> {
        self.skip_blanks();
        if self.rest.is_empty() {
            return Err("it is empty");
        }
        let value = self.value()?;
        self.skip_blanks();
        if self.rest.is_empty() { Ok(value) } else { Err("something stands behind its end") }
    }

    fn value(&mut self) -> Read<Value> {
        match self.rest.as_bytes().first() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err("a value is missing"),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<Value>) -> Read<Value> {
        // SECURITY: INP-07. Counted before anything is read: the stack never follows the input.
        self.depth_left = self.depth_left.checked_sub(1).ok_or("it is nested too deep")?;
        self.bump(1);
        let value = read(self);
        self.depth_left += 1;
        value
    }

    fn object(&mut self) -> Read<Value> {
        let mut members = Map::new();
        self.skip_blanks();
        if self.take('}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_blanks();
            let name = self.string()?;
            self.skip_blanks();
            self.need(':', "a colon is missing")?;
            self.skip_blanks();
            self.path.push(Step::Member(name.clone()));
            let value = self.value()?;
            self.path.pop();
            // SECURITY: INP-07. Readers disagree on which of two counts; here neither does.
            if members.insert(name, value).is_some() {
                return Err("a member stands twice");
            }
            self.skip_blanks();
            if self.take('}') {
                return Ok(Value::Object(members));
            }
            self.need(',', "a comma or a closing brace is missing")?;
        }
    }

    fn array(&mut self) -> Read<Value> {
        let mut items = Vec::new();
        self.skip_blanks();
        if self.take(']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_blanks();
            self.path.push(Step::Item(items.len()));
            items.push(self.value()?);
            self.path.pop();
            self.skip_blanks();
            if self.take(']') {
                return Ok(Value::Array(items));
            }
            self.need(',', "a comma or a closing bracket is missing")?;
        }
    }

    fn string(&mut self) -> Read<String> {
        self.need('"', "a text in quotes is missing")?;
        let mut text = String::new();
        loop {
            let plain = self.rest.find(|c| matches!(c, '"' | '\\' | '\0'..='\u{1f}'));
            let plain = plain.ok_or("a text has no end")?;
            text.push_str(self.bump(plain));
            match self.bump(1) {
                "\"" => return Ok(text),
                "\\" => text.push(self.escaped()?),
                _ => return Err("a text holds a control character"),
            }
        }
    }

    fn escaped(&mut self) -> Read<char> {
        // A character of several bytes is none of these, and nothing is cut.
        Ok(match self.rest.as_bytes().first() {
            Some(b'u') => return self.escaped_unicode(),
            Some(&c @ (b'"' | b'\\' | b'/')) => self.bumped(char::from(c)),
            Some(b'b') => self.bumped('\u{8}'),
            Some(b'f') => self.bumped('\u{c}'),
            Some(b'n') => self.bumped('\n'),
            Some(b'r') => self.bumped('\r'),
            Some(b't') => self.bumped('\t'),
            _ => return Err("a text holds an unknown escape"),
        })
    }

    fn escaped_unicode(&mut self) -> Read<char> {
        let first = self.code_unit()?;
        let units = if (0xd800..0xdc00).contains(&first) && self.rest.starts_with("\\u") {
            self.bump(1);
            [first, self.code_unit()?]
        } else {
            [first, 0]
        };
        // SECURITY: INP-05. A lone surrogate is no character and becomes none.
        match char::decode_utf16(units).next() {
            Some(Ok(c)) => Ok(c),
            _ => Err("a text holds half a surrogate pair"),
        }
    }

    /// `u` and four hexadecimal digits.
    fn code_unit(&mut self) -> Read<u16> {
        let digits = self.rest.get(1..5).filter(|d| d.bytes().all(|c| c.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u16::from_str_radix(d, 16).ok());
        let unit = unit.ok_or("a text holds a broken escape")?;
        self.bump(5);
        Ok(unit)
    }

    fn number(&mut self) -> Read<Value> {
        let bytes = self.rest.as_bytes();
        let digits =
            |from: usize| bytes.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
        let mut end = usize::from(bytes.first() == Some(&b'-'));
        let whole = digits(end);
        if whole == 0 || (whole > 1 && bytes.get(end) == Some(&b'0')) {
            return Err("a number is malformed");
        }
        end += whole;
        let mut is_integer = true;
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            end += 1 + fraction;
            is_integer = false;
            if fraction == 0 {
                return Err("a number is malformed");
            }
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            end += 1 + sign + exponent;
            is_integer = false;
            if exponent == 0 {
                return Err("a number is malformed");
            }
        }
        let text = self.bump(end);
        Ok(self.number_of(text, is_integer))
    }

    /// Exact if it is an `i64` or a `u64`, else the nearest finite `f64`, else noted.
    fn number_of(&mut self, text: &str, is_integer: bool) -> Value {
        if is_integer {
            let exact = text.parse::<u64>().map(Number::from);
            if let Ok(number) = exact.or_else(|_| text.parse::<i64>().map(Number::from)) {
                return Value::Number(number);
            }
        }
        if let Some(number) = text.parse().ok().and_then(Number::from_f64) {
            return Value::Number(number);
        }
        let pointer = self.path.iter().fold(String::new(), |at, step| match step {
            Step::Item(index) => format!("{at}/{index}"),
            Step::Member(name) => join(&at, name),
        });
        // LIMIT: ours; an answer that lists more helps nobody, and the list stays small.
        if self.out_of_range.len() < 100 {
            self.out_of_range.push(pointer);
        }
        Value::Null
    }

    fn word(&mut self, word: &str, value: Value) -> Read<Value> {
        if !self.rest.starts_with(word) {
            return Err("a value is missing");
        }
        Ok(self.bumped_by(word.len(), value))
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn need(&mut self, c: char, otherwise: &'static str) -> Read<()> {
        if self.take(c) { Ok(()) } else { Err(otherwise) }
    }

    /// Moves on by `bytes` and gives what lay there; callers stand on a character boundary.
    fn bump(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn bumped<T>(&mut self, value: T) -> T {
        self.bumped_by(1, value)
    }

    fn bumped_by<T>(&mut self, bytes: usize, value: T) -> T {
        self.bump(bytes);
        value
    }
}
