//! The list of hosts that are known without asking (hosts(5)).

/// Adds the name `new` to each line that has the name `old`; lines that have both stay.
pub(super) fn with(text: &str, old: &str, new: &str) -> String {
    text.lines().map(|line| with_line(line, old, new) + "\n").collect()
}

fn with_line(line: &str, old: &str, new: &str) -> String {
    let (entry, comment) = line.find('#').map_or((line, ""), |at| line.split_at(at));
    let has = |name: &str| entry.split_whitespace().skip(1).any(|word| word == name);
    if !has(old) || has(new) {
        return line.to_owned();
    }
    let gap = if comment.is_empty() { "" } else { " " };
    format!("{} {new}{gap}{comment}", entry.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_name_stands_beside_the_old_one() {
        let text = "127.0.0.1 localhost\n127.0.1.1\tweb.local web # ours\n# web\n10.0.0.1 website";
        let want = "127.0.0.1 localhost\n127.0.1.1\tweb.local web web-1 # ours\n# web\n10.0.0.1 website\n";
        assert_eq!(with(text, "web", "web-1"), want);
        assert_eq!(with(want, "web", "web-1"), want);
    }
}
