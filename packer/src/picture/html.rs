//! The picture as a page that needs nothing but itself.

use super::Picture;

const PAGE: &str = include_str!("page.html");

impl Picture {
    /// The page, with all its numbers in it.
    ///
    /// # Errors
    /// As for serialising.
    pub(crate) fn to_html(&self, source: &str) -> serde_json::Result<String> {
        let data = serde_json::json!({"source": source, "picture": self});
        // Nothing in a name can end the element that the data stands in.
        let data = serde_json::to_string(&data)?.replace('<', "\\u003c");
        let (before, after) = PAGE.split_once("<!--data-->").expect("the page has this place");
        Ok(format!("{before}{data}{after}"))
    }
}
