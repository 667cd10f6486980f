//! Lines of the monitor, read once.

use serde_json::{Map, Value, json};

/// What QEMU sends.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// The first line.
    Greeting,
    /// The answer to the command with this id: its value, or why not.
    Answer { id: u64, outcome: Result<Value, String> },
    /// Something happened.
    Event { name: String, data: Value },
    /// Anything else: a later QEMU may say more than we know.
    Unknown,
}

impl Message {
    pub(super) fn parse(line: &str) -> Self {
        let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else { return Self::Unknown };
        if fields.contains_key("QMP") {
            return Self::Greeting;
        }
        if let Some(Value::String(name)) = fields.remove("event") {
            return Self::Event { name, data: fields.remove("data").unwrap_or(Value::Null) };
        }
        let Some(id) = fields.get("id").and_then(Value::as_u64) else { return Self::Unknown };
        outcome(fields).map_or(Self::Unknown, |outcome| Self::Answer { id, outcome })
    }
}

fn outcome(mut fields: Map<String, Value>) -> Option<Result<Value, String>> {
    if let Some(value) = fields.remove("return") {
        return Some(Ok(value));
    }
    let error = fields.remove("error")?;
    let described = error.get("desc").and_then(Value::as_str).map(str::to_owned);
    Some(Err(described.unwrap_or_else(|| error.to_string())))
}

/// Writes a command as a line.
pub(super) fn line(id: u64, command: &str, arguments: &Value) -> Vec<u8> {
    let whole = match arguments {
        Value::Null => json!({"execute": command, "id": id}),
        arguments => json!({"execute": command, "arguments": arguments, "id": id}),
    };
    let mut line = whole.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_read() {
        let parse = Message::parse;
        assert_eq!(
            parse(r#"{"QMP": {"version": {"qemu": {"major": 10}}, "capabilities": ["oob"]}}"#),
            Message::Greeting
        );
        assert_eq!(parse(r#"{"return": {}, "id": 7}"#), Message::Answer { id: 7, outcome: Ok(json!({})) });
        assert_eq!(
            parse(r#"{"id": 8, "error": {"class": "GenericError", "desc": "no such device"}}"#),
            Message::Answer { id: 8, outcome: Err("no such device".into()) }
        );
        assert_eq!(
            parse(r#"{"timestamp": {"seconds": 1}, "event": "MIGRATION", "data": {"status": "active"}}"#),
            Message::Event { name: "MIGRATION".into(), data: json!({"status": "active"}) }
        );
    }

    #[test]
    fn lines_that_nobody_knows_are_no_failure() {
        for line in ["", "{", "[]", "7", r#"{"return": {}}"#, r#"{"id": 1}"#, r#"{"id": "x", "return": {}}"#] {
            assert_eq!(Message::parse(line), Message::Unknown, "{line}");
        }
    }

    #[test]
    fn a_command_without_arguments_has_no_such_field() {
        assert_eq!(line(1, "stop", &Value::Null), b"{\"execute\":\"stop\",\"id\":1}\n");
        assert_eq!(line(2, "x", &json!({"a": 1})), b"{\"arguments\":{\"a\":1},\"execute\":\"x\",\"id\":2}\n");
    }
}
