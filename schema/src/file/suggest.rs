//! "Did you mean": the nearest of the known words.
//!
//! Knows edit distance. Refuses to know what the words are for.

/// The known word nearest to `word`, when it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A word much longer than any known one is not worth its quadratic comparison.
    if word.len() > 64 {
        return None;
    }
    let word: Vec<char> = word.chars().collect();
    // Every word of one letter is one letter away from any other.
    let mut limit = if word.len() < 2 { 0 } else { (word.len() / 3).max(1) };
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let near = distance(&word, candidate, limit).map(|distance| (distance, candidate));
        if let Some(near) = near.filter(|near| best.is_none_or(|best| *near < best)) {
            limit = near.0;
            best = Some(near);
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Advice for an unknown word: the nearest, or all there are.
pub fn advice<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(nearest) = nearest(word, known.clone()) {
        return format!("did you mean `{nearest}`?");
    }
    let all: Vec<String> = known.into_iter().map(|word| format!("`{word}`")).collect();
    match all.len() {
        0 => "none is declared".to_owned(),
        1..=30 => format!("known are {}", all.join(", ")),
        more => format!("known are {} and {} more", all[..30].join(", "), more - 30),
    }
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment), where
/// they are no more than `limit`.
fn distance(a: &[char], b: &str, limit: usize) -> Option<usize> {
    // No text has more characters than bytes, nor fewer than a fourth of them.
    if a.len() > b.len() + limit || b.len() > 4 * (a.len() + limit) {
        return None;
    }
    let b: Vec<char> = b.chars().collect();
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    let same = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        // A swap reaches back two rows, and costs one more than it finds there.
        let least = |row: &[usize]| row.iter().copied().min().unwrap_or(0);
        if least(&row) > limit && least(&last) + 1 > limit {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    Some(last[b.len()]).filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let known = ["replicas", "resources", "near", "env"];
        assert_eq!(nearest("replcas", known), Some("replicas"));
        assert_eq!(nearest("enr", known), Some("env"));
        assert_eq!(nearest("naer", known), Some("near"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
        assert_eq!(nearest("ab", ["ba", "abc", "ab"]), Some("ab"));
        assert_eq!(nearest("", ["", "xy"]), Some(""));
        assert_eq!(nearest("a", ["b", "ab"]), None, "nothing is near one letter");
    }
}
