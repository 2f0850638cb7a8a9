/// How far the walk over the list of one type has come. The list is cut into ranges of ids, several of which are walked at once; what
/// is kept here is enough to go on after a crash.
public struct Walk: Sendable, Equatable {
    /// Neighbouring ids that are walked page after page.
    public struct Range: Sendable, Equatable {
        /// Ids above this one belong to the range. 0 for the first.
        public let above: Int64
        /// The first record behind `above` when the range was cut off; nil for the first range.
        public let first: Int64?
        /// Ids up to this one belong to the range; nil: all.
        public var through: Int64?
        /// The cursor of its next page; nil before its first.
        public var after: String?

        public init(above: Int64 = 0, first: Int64? = nil, through: Int64? = nil, after: String? = nil) {
            self.above = above
            self.first = first
            self.through = through
            self.after = after
        }
    }

    /// Ranges that are not walked to their end, in the order of their ids. Together with what was walked they are the whole list.
    public private(set) var open: [Range]
    /// Whether no further range is to be cut off.
    public private(set) var isCut: Bool

    /// The whole list, as one range.
    public init() { self.init(open: [Range()], isCut: false) }

    /// For what was kept.
    public init(open: [Range], isCut: Bool) {
        self.open = open
        self.isCut = isCut
    }

    public var isFinished: Bool { open.isEmpty }

    public enum Step: Sendable, Equatable {
        /// A page was written of the range above `above`, which ended with `through` when the page was read; `after` is the cursor of the
        /// next one, nil at that end.
        case page(above: Int64, through: Int64?, after: String?)
        /// The last range is cut in two: `through` is the last id of the first part, `first` the first record of the second.
        case split(through: Int64, first: Int64)
        /// The last range stays as it is.
        case cut
        /// The list can only be walked page after page: what was not begun belongs to the range before it.
        case join
    }

    /// A step is true of what the range has become meanwhile, too: two walks that take the same steps in another order may differ, but
    /// neither has less to walk than what is left.
    public mutating func take(_ step: Step) {
        switch step {
        case .page(let above, let through, let after):
            guard let index = open.firstIndex(where: { $0.above == above }) else { return }
            if let after {
                open[index].after = after
            } else if through == nil || open[index].through == through {
                open.remove(at: index)
            }
            // Else it was joined to what follows, of which the page may hold a part that was not written: that page is read again.
        case .split(let through, let first):
            guard let last = open.indices.last, open[last].through == nil, through > open[last].above, first > through else { return }
            open[last].through = through
            open.append(Range(above: through, first: first))
        case .cut: isCut = true
        case .join:
            isCut = true
            guard let index = open.firstIndex(where: { $0.first != nil && $0.after == nil }) else { return }
            guard index > 0 else {
                open = [Range()]
                return
            }
            // What lies beyond and was begun is walked twice, which is harmless.
            open[index - 1].through = nil
            open.removeSubrange(index...)
        }
    }
}
