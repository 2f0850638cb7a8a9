public import Bytes
public import Model

extension Record {
    /// The document that the mirror would hold of this record if it had been written at that instant.
    public func mirrorDocument(at now: Timestamp) -> BSONDocument { BSONDocument(bytes: MirrorDocument.inserted(self, at: now)) }
}
