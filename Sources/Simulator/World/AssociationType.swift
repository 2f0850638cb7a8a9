import Model

/// One label of an association in one direction.
struct AssociationType: Sendable, Hashable {
    let category: String
    let id: Int
    let label: String?
    /// What the object API calls it, such as `contact_to_company_unlabeled`.
    let name: String

    static func hubSpot(_ id: Int, _ label: String?, _ name: String) -> AssociationType {
        AssociationType(category: "HUBSPOT_DEFINED", id: id, label: label, name: name)
    }

    /// The association without a label, which every pair has.
    ///
    /// - Source: platform page, section 5.9.
    static func unlabeled(_ from: RecordType, _ to: RecordType) -> AssociationType {
        switch (from, to) {
        case (.contacts, .companies): hubSpot(279, nil, "contact_to_company_unlabeled")
        case (.companies, .contacts): hubSpot(280, nil, "company_to_contact_unlabeled")
        case (.contacts, .deals): hubSpot(4, nil, "contact_to_deal")
        case (.deals, .contacts): hubSpot(3, nil, "deal_to_contact")
        case (.deals, .companies): hubSpot(341, nil, "deal_to_company_unlabeled")
        case (.companies, .deals): hubSpot(342, nil, "company_to_deal_unlabeled")
        case (.contacts, .contacts): hubSpot(449, nil, "contact_to_contact")
        case (.companies, .companies): hubSpot(450, nil, "company_to_company")
        case (.deals, .deals): hubSpot(451, nil, "deal_to_deal")
        }
    }

    static func primary(_ from: RecordType, _ to: RecordType) -> AssociationType? {
        switch (from, to) {
        case (.contacts, .companies): hubSpot(1, "Primary", "contact_to_company")
        case (.companies, .contacts): hubSpot(2, "Primary", "company_to_contact")
        case (.deals, .companies): hubSpot(5, "Primary", "deal_to_company")
        case (.companies, .deals): hubSpot(6, "Primary", "company_to_deal")
        default: nil
        }
    }

    static func withId(_ id: Int, category: String, from: RecordType, to: RecordType) -> AssociationType? {
        if category != "HUBSPOT_DEFINED" {
            return AssociationType(category: category, id: id, label: "Label \(id)", name: "label_\(id)")
        }
        if unlabeled(from, to).id == id { return unlabeled(from, to) }
        if let primary = primary(from, to), primary.id == id { return primary }
        return nil
    }

    /// The same label seen from the other side.
    func reversed(from: RecordType, to: RecordType) -> AssociationType {
        if category != "HUBSPOT_DEFINED" { return self }
        if self == AssociationType.primary(from, to), let other = AssociationType.primary(to, from) { return other }
        return AssociationType.unlabeled(to, from)
    }

    var isPrimary: Bool { label == "Primary" && category == "HUBSPOT_DEFINED" }
}
