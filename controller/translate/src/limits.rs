//! Bounds of translation: what one object, one proxy or one namespace may lead to.

limits::limits! {
    /// Bounds of translation, set by `--limit NAME=VALUE` of the controller and of `sluice`.
    pub struct TranslationLimits {
        /// Matches of a VirtualService after its delegates were put in.
        matches_per_virtual_service: usize [Count, 1 ..= 1_000_000] = 4_096 => "the rules beyond are left out and reported",
    }
}
