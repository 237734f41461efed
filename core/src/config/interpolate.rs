//! Variables in the config's strings: `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, and `$$` for a dollar sign.
//!
//! As in a shell, `:-` and `:?` take an empty variable for a missing one, and plain `${VAR}` does not. A dollar sign
//! that is followed by neither `{` nor `$` stands for itself. Expressions do not nest. Errors name the variable and
//! never show a value or the text around it, because the string may be a password.

use super::Env;

/// What is wrong with one expression in a string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum VariableError {
    #[error("`${{` is never closed")]
    Unclosed,
    #[error("`${{` is not followed by the name of a variable")]
    NoName,
    #[error("an expression cannot stand inside another")]
    Nested,
    #[error("variable `{name}` is followed by something that is neither `}}` nor `:-` nor `:?`")]
    NoOperator { name: String },
    #[error("variable `{name}` is not set")]
    Missing { name: String },
    #[error("variable `{name}` is {}: {message}", if *.empty { "empty" } else { "not set" })]
    Demanded { name: String, empty: bool, message: String },
}

impl VariableError {
    /// What to do about it.
    pub(super) fn help(&self) -> Option<String> {
        match self {
            VariableError::Unclosed | VariableError::NoName | VariableError::NoOperator { .. } => {
                Some("write ${VAR}, ${VAR:-default} or ${VAR:?message}; $$ is a dollar sign".to_owned())
            }
            VariableError::Nested => Some("a default is plain text up to the first `}`".to_owned()),
            VariableError::Missing { name } => {
                Some(format!("set it in the environment, or give a default: ${{{name}:-default}}"))
            }
            VariableError::Demanded { .. } => None,
        }
    }
}

/// `text` with its variables filled in.
///
/// # Errors
/// Every expression that could not be filled in, in order; after one that is not closed nothing is looked at.
pub(super) fn interpolate(text: &str, env: &Env) -> Result<String, Vec<VariableError>> {
    let mut filled = String::with_capacity(text.len());
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        filled.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(expression) = after.strip_prefix('{') {
            let Some(end) = expression.find('}') else {
                errors.push(VariableError::Unclosed);
                return Err(errors);
            };
            match evaluate(&expression[..end], env) {
                Ok(value) => filled.push_str(value),
                Err(error) => errors.push(error),
            }
            rest = &expression[end + 1..];
        } else {
            filled.push('$');
            rest = after;
        }
    }
    filled.push_str(rest);
    if errors.is_empty() { Ok(filled) } else { Err(errors) }
}

/// The value of what stands between `${` and `}`.
fn evaluate<'a>(expression: &'a str, env: &'a Env) -> Result<&'a str, VariableError> {
    let name_end = expression.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(expression.len());
    let (name, operation) = expression.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(VariableError::NoName);
    }
    if operation.contains("${") {
        return Err(VariableError::Nested);
    }
    let value = env.get(name).map(String::as_str);
    let not_empty = value.filter(|value| !value.is_empty());
    let name = name.to_owned();
    if operation.is_empty() {
        value.ok_or(VariableError::Missing { name })
    } else if let Some(default) = operation.strip_prefix(":-") {
        Ok(not_empty.unwrap_or(default))
    } else if let Some(message) = operation.strip_prefix(":?") {
        let message = if message.is_empty() { "the config requires it" } else { message }.to_owned();
        not_empty.ok_or(VariableError::Demanded { name, empty: value.is_some(), message })
    } else {
        Err(VariableError::NoOperator { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        [("HOST", "ch.example"), ("PORT", "8443"), ("EMPTY", ""), ("DOLLAR", "${HOST}"), ("_1", "underscore")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn fills_in_values_and_defaults() {
        let cases = [
            ("", ""),
            ("plain", "plain"),
            ("https://${HOST}:${PORT}/", "https://ch.example:8443/"),
            ("${HOST}${HOST}", "ch.examplech.example"),
            ("${_1}", "underscore"),
            ("${EMPTY}", ""),
            ("${EMPTY:-default}", "default"),
            ("${MISSING:-default}", "default"),
            ("${MISSING:-}", ""),
            ("${MISSING:-a:-b:?c}", "a:-b:?c"),
            ("${HOST:-default}", "ch.example"),
            ("${HOST:?must be set}", "ch.example"),
            ("$$", "$"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$ch.example"),
            ("$", "$"),
            ("$HOST costs 5$", "$HOST costs 5$"),
            ("}{", "}{"),
            ("用户${HOST}用户", "用户ch.example用户"),
            ("${DOLLAR}", "${HOST}"),
        ];
        for (text, wanted) in cases {
            assert_eq!(interpolate(text, &env()).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn names_every_variable_that_is_missing() {
        let cases: [(&str, &[&str]); 14] = [
            ("${MISSING}", &["variable `MISSING` is not set"]),
            ("${A}-${HOST}-${B}", &["variable `A` is not set", "variable `B` is not set"]),
            ("${host}", &["variable `host` is not set"]),
            ("${MISSING:?ask ops}", &["variable `MISSING` is not set: ask ops"]),
            ("${EMPTY:?ask ops}", &["variable `EMPTY` is empty: ask ops"]),
            ("${MISSING:?}", &["variable `MISSING` is not set: the config requires it"]),
            ("${HOST", &["`${` is never closed"]),
            ("${MISSING} ${", &["variable `MISSING` is not set", "`${` is never closed"]),
            ("${}", &["`${` is not followed by the name of a variable"]),
            ("${ HOST }", &["`${` is not followed by the name of a variable"]),
            ("${1A}", &["`${` is not followed by the name of a variable"]),
            ("${HOST-x}", &["variable `HOST` is followed by something that is neither `}` nor `:-` nor `:?`"]),
            ("${HOST:x}", &["variable `HOST` is followed by something that is neither `}` nor `:-` nor `:?`"]),
            ("${MISSING:-${HOST}}", &["an expression cannot stand inside another"]),
        ];
        for (text, wanted) in cases {
            let errors = interpolate(text, &env()).expect_err(text);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted, "{text}");
        }
    }
}
