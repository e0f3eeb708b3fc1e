//! The report as a page that needs nothing but itself: for the record, and to be opened from a
//! disk years later.

use std::collections::BTreeMap;

use tranship_common::Repository;
use tranship_common::bundle::LeftOutImage;
use tranship_terminal::printable;

use super::{ImageReport, Report};
use crate::harbor::quotas::Overcount;
use crate::transfer::Tallies;

const PAGE: &str = include_str!("page.html");

/// Of a text no more characters are shown.
const MAX_TEXT: usize = 2000;

/// How many images of a project have which status.
#[derive(Default)]
struct Row {
    loaded: u64,
    present: u64,
    failed: u64,
    left: u64,
}

impl Report {
    /// The page.
    pub(crate) fn to_html(&self) -> String {
        let totals = &self.totals;
        let Tallies { images, referrers } = totals.tallies;
        let with_referrers = match referrers.all() {
            0 => String::new(),
            all => format!(
                " With {all} referrers: {} loaded, {} there before, {} failed, {} left.",
                referrers.loaded, referrers.present, referrers.failed, referrers.left
            ),
        };
        let counts = format!(
            "{} images loaded, {} there before, {} failed, {} left.{with_referrers} {} blobs \
             uploaded ({} bytes), {} mounted, {} manifests stored; {} requests in {:.0} s.",
            images.loaded,
            images.present,
            images.failed,
            images.left,
            totals.transfer.uploaded_blobs,
            totals.transfer.uploaded_bytes,
            totals.transfer.mounted_blobs,
            totals.transfer.manifests,
            totals.requests,
            totals.seconds,
        );
        let summary = match &self.error {
            Some(error) => format!("Nothing was loaded: {}", escaped(error)),
            None => counts,
        };
        let parts = [
            ("<!--target-->", escaped(&self.target)),
            ("<!--totals-->", summary),
            ("<!--overcounts-->", self.overcounts()),
            ("<!--left-out-->", self.left_out()),
            ("<!--projects-->", self.projects()),
            ("<!--images-->", self.images()),
        ];
        let (mut page, mut rest) = (String::new(), PAGE);
        for (place, text) in parts {
            let (before, after) = rest.split_once(place).expect("the page has this place");
            page.push_str(before);
            page.push_str(&text);
            rest = after;
        }
        page + rest
    }

    fn overcounts(&self) -> String {
        let words = self.overcounts.iter().map(Overcount::in_words);
        words.map(|words| format!("<p>{}</p>\n", escaped(&words))).collect()
    }

    /// What the bundle does not hold: the sentence, and a row for each image.
    fn left_out(&self) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        let row = |LeftOutImage { name, reason }: &LeftOutImage| {
            format!("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(reason))
        };
        let rows: String = self.left_out.images.iter().map(row).collect();
        let table = match rows.is_empty() {
            true => String::new(),
            false => format!(
                "<table id=\"left-out\">\n<thead><tr><th>image</th><th>reason</th></tr></thead>\n\
                 <tbody>\n{rows}</tbody>\n</table>\n"
            ),
        };
        let sentence = escaped(&self.left_out.to_string());
        format!("<h2>Not in the bundle</h2>\n<p>{sentence}</p>\n{table}")
    }

    fn projects(&self) -> String {
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        for image in &self.images {
            let project = image.name.split(['/', ':']).next().unwrap_or_default();
            let row = rows.entry(project).or_default();
            *match image.status {
                "loaded" => &mut row.loaded,
                "present" => &mut row.present,
                "failed" => &mut row.failed,
                _ => &mut row.left,
            } += 1;
        }
        let mut text = String::new();
        for (project, Row { loaded, present, failed, left }) in rows {
            let all = loaded + present + failed + left;
            text += &format!("<tr><td>{}</td>", escaped(project));
            for number in [all, loaded, present, failed, left] {
                text += &format!("<td class=\"number\">{number}</td>");
            }
            let title =
                format!("{loaded} loaded, {present} there before, {failed} failed, {left} left");
            text += &format!(
                "<td><div class=\"bar\" role=\"img\" aria-label=\"{title}\" title=\"{title}\">"
            );
            for (class, number) in [("loaded", loaded), ("present", present), ("failed", failed)] {
                let share = 100.0 * number as f64 / all as f64;
                text += &format!("<i class=\"{class}\" style=\"width:{share:.2}%\"></i>");
            }
            text += "</div></td></tr>\n";
        }
        text
    }

    /// Rows of images and referrers: failures first, then what is left, then the others, each by name.
    fn images(&self) -> String {
        let rank = |image: &ImageReport| match image.status {
            "failed" => 0,
            "left" => 1,
            _ => 2,
        };
        let mut images: Vec<&ImageReport> = self.images.iter().chain(&self.referrers).collect();
        images.sort_by_key(|image| (rank(image), &image.name));
        let row = |image: &ImageReport| {
            let ImageReport { name, sources, digest, subject, status, replaced, reason } = image;
            let replaced = replaced.map(|digest| format!("replaced {digest}"));
            let about = subject.map(|digest| format!("about {digest}"));
            let reason = reason.as_deref().or(replaced.as_deref()).or(about.as_deref());
            let from = match sources.is_empty() {
                true => String::new(),
                false => {
                    let sources: Vec<&str> = sources.iter().map(Repository::as_str).collect();
                    format!(" (from {})", escaped(&sources.join(", ")))
                }
            };
            format!(
                "<tr><td>{}{from}</td><td class=\"{status}\">{status}</td><td><code>{digest}</code></td>\
                 <td>{}</td></tr>\n",
                escaped(name),
                escaped(reason.unwrap_or_default()),
            )
        };
        images.into_iter().map(row).collect()
    }
}

/// A text as it stands in HTML. What would turn a line around does so in a page too.
fn escaped(text: &str) -> String {
    let text = printable(text, MAX_TEXT);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
