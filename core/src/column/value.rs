//! A field's value as a format found it: the boundary between formats, which know syntax, and columns, which know types.

/// The value of one field of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// The record does not have the field.
    Absent,
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A JSON number as written; its grammar was checked.
    Number(&'a str),
    /// A JSON string, unescaped.
    String(&'a str),
    /// A JSON object or array as written (for a column of type `Json`: any JSON value as written); its grammar was checked.
    Json(&'a str),
    /// Text of a format without types (access logs, CSV, TSV), unquoted and unescaped.
    Text(&'a str),
}
