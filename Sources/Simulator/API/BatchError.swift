/// What went wrong for a group of a batch's inputs.
struct BatchError: Sendable {
    var category = "OBJECT_NOT_FOUND"
    var subCategory: String?
    let message: String
    let context: [(String, [String])]
}
