//! Tables that a narrow page shows as blocks, each cell with the name of its column.

use std::fmt::Write as _;

use super::text::escape;

/// A column: its head, and whether it holds numbers.
pub(super) type Column<'a> = (&'a str, bool);

/// A row: its class (may be empty) and its cells, as HTML. The first cell names the row.
pub(super) type Row = (&'static str, Vec<String>);

/// Appends a table.
pub(super) fn table(
    page: &mut String,
    class: &str,
    columns: &[Column<'_>],
    rows: impl Iterator<Item = Row>,
) {
    let _ = write!(page, "<table class=\"stack {class}\"><thead><tr>");
    for (head, numeric) in columns {
        let class = if *numeric { " class=n" } else { "" };
        let _ = write!(page, "<th scope=col{class}>{}</th>", escape(head));
    }
    page.push_str("</tr></thead><tbody>");
    for (class, cells) in rows {
        let _ = write!(page, "<tr class=\"{class}\">");
        for (place, (cell, (head, numeric))) in cells.iter().zip(columns).enumerate() {
            let class = if *numeric { "n" } else { "" };
            let head = escape(head);
            let _ = match place {
                0 => write!(page, "<th scope=row class=\"{class}\">{cell}</th>"),
                _ => write!(page, "<td class=\"{class}\" data-head=\"{head}\">{cell}</td>"),
            };
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>");
}
