import Bytes
import Model

/// TypeScript for the collections of the mirror: types, and the Mongoose models that read them. The same account gives the same text.
struct TypeScriptModels {
    let account: AccountModel

    private static let notice =
        "// Made by 'hubspot-sync generate models' from the account's own definitions. Do not edit: make it again when they change.\n"

    // MARK: Types

    /// Types alone, which need no library.
    var types: String {
        TypeScriptModels.notice + """

            /** Ids of the records that a record is associated with. */
            export interface HubSpotAssociations {
              companies: string[];
              contacts: string[];
              deals: string[];
            }

            /** What the mirror keeps of every record beside its own fields. */
            export interface HubSpotRecord {
              /** HubSpot's id. */
              _id: string;
              /** The same. */
              hubspotId: string;
              associations: HubSpotAssociations;
              /** Deleted in HubSpot. */
              archived: boolean;
              archivedAt: Date | null;
              /** Ids of records that were merged into this one. */
              mergedIds: string[];
              hubspotCreatedAt: Date;
              hubspotUpdatedAt: Date;
              /** When it was last known to equal HubSpot. */
              lastSyncedAt: Date;
              syncStatus: "synced" | "pending" | "error";
              syncError: string | null;
            }

            \(pipelineTypes)


            """ + RecordType.allCases.map(type).joined(separator: "\n")
    }

    private var pipelineTypes: String {
        let stages = account.pipelines.flatMap { pipeline in
            (pipeline.stages ?? []).map { ($0.id, [pipeline.label, $0.label].compactMap(\.self).joined(separator: ": ")) }
        }
        return """
            /** Ids of the deals' pipelines. */
            export type DealPipelineId =\(union(account.pipelines.map { ($0.id, $0.label) }))

            /** Ids of the stages of the deals' pipelines. */
            export type DealStageId =\(union(stages))
            """
    }

    /// Alternatives, one a line with its label; `string` when there are none.
    private func union(_ alternatives: [(value: String, label: String?)]) -> String {
        var seen: Set<String> = []
        let lines = alternatives.filter { seen.insert($0.value).inserted }.map { value, label in
            "\n  | \(quoted(value))" + (label.map { " // \(plain($0))" } ?? "")
        }
        guard !lines.isEmpty else { return " string;" }
        // The semicolon stands alone: after a comment it would be part of it.
        return lines.joined() + "\n  ;"
    }

    private func type(_ type: RecordType) -> String {
        let name = TypeScriptModels.name(of: type)
        let properties = account.properties[type] ?? []
        let known = Dictionary(properties.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var lines = ["/** Every property of a \(type.singular), as HubSpot sent it. An empty text is a value that was cleared. */"]
        lines.append("export interface \(name)Properties {")
        for property in properties { lines += member(property) }
        lines += ["}", "", "/** A document of the collection `\(type.rawValue)`. */", "export interface \(name) extends HubSpotRecord {"]
        for field in type.typedFields {
            if let label = known[field.property]?.label { lines.append("  /** \(comment(label)) */") }
            lines.append("  \(field.name): \(fieldType(field, type, known[field.property]));")
        }
        lines += ["  properties: \(name)Properties;", "}", ""]
        return lines.joined(separator: "\n")
    }

    private func member(_ property: AccountModel.Property) -> [String] {
        var words = [property.label ?? property.name]
        if let description = property.description, !description.isEmpty, description != property.label { words.append(description) }
        let kind = property.fieldType == "checkbox" && property.type == "enumeration" ? "several, separated by semicolons" : property.type
        let value = property.values.map { ($0.filter { !$0.isEmpty } + [""]).map(quoted).joined(separator: " | ") } ?? "string"
        return ["  /** \(comment(words.joined(separator: ": "))) (\(comment(kind))) */", "  \(key(property.name)): \(value) | null;"]
    }

    private func fieldType(_ field: TypedField, _ type: RecordType, _ property: AccountModel.Property?) -> String {
        switch field.kind {
        case .number: return "number | null"
        case .date: return "Date | null"
        case .string:
            if type == .deals, field.name == "pipeline" { return "DealPipelineId | null" }
            if type == .deals, field.name == "dealStage" { return "DealStageId | null" }
            guard property?.values != nil else { return "string | null" }
            return "\(TypeScriptModels.name(of: type))Properties[\(quoted(field.property))]"
        }
    }

    // MARK: Models

    /// The Mongoose models of those types.
    ///
    /// - Parameter typesModule: where the types are, such as `./hubspot-types`; nil for the same file.
    func models(typesModule: String?) -> String {
        let names = RecordType.allCases.map(TypeScriptModels.name)
        var text = typesModule == nil ? "" : TypeScriptModels.notice + "\n"
        text += "import mongoose from \"mongoose\";\n"
        if let typesModule { text += "import type { \(names.sorted().joined(separator: ", ")) } from \(quoted(typesModule));\n" }
        text += """

            // Read only: hubspot-sync alone writes these collections, and makes their indexes.
            const options = { versionKey: false, autoIndex: false, autoCreate: false } as const;

            const shared = {
              _id: { type: String, required: true },
              hubspotId: { type: String, required: true },
              associations: { companies: [String], contacts: [String], deals: [String] },
              archived: Boolean,
              archivedAt: Date,
              mergedIds: [String],
              hubspotCreatedAt: Date,
              hubspotUpdatedAt: Date,
              lastSyncedAt: Date,
              syncStatus: { type: String, enum: ["synced", "pending", "error"] },
              syncError: String,
              // As it is: a property that HubSpot gets later is there too.
              properties: mongoose.Schema.Types.Mixed,
            };

            """
        for type in RecordType.allCases {
            let name = TypeScriptModels.name(of: type)
            let fields = type.typedFields.map { field in
                switch field.kind {
                case .string: "    \(field.name): String,"
                case .number: "    \(field.name): Number,"
                case .date: "    \(field.name): Date,"
                }
            }
            text += """

                const \(type.singular)Schema = new mongoose.Schema<\(name)>(
                  {
                    ...shared,
                \(fields.joined(separator: "\n"))
                  },
                  { ...options, collection: \(quoted(type.rawValue)) },
                );

                /** `\(type.rawValue)` of the mirror. */
                export const \(name)Model: mongoose.Model<\(name)> =
                  (mongoose.models["\(name)"] as mongoose.Model<\(name)> | undefined) ?? mongoose.model<\(name)>("\(name)", \(type.singular)Schema);

                """
        }
        return text
    }

    // MARK: Words

    private static func name(of type: RecordType) -> String { type.singular.prefix(1).uppercased() + type.singular.dropFirst() }

    /// A string literal: JSON's are TypeScript's.
    private func quoted(_ text: String) -> String {
        var writer = JSONWriter(capacity: text.utf8.count + 16)
        writer.string(text)
        return String(decoding: writer.finish(), as: UTF8.self)
    }

    /// A property's name as a member of an interface.
    private func key(_ name: String) -> String {
        func isLetter(_ byte: UInt8) -> Bool { byte | 0x20 >= 97 && byte | 0x20 <= 122 || byte == 95 || byte == 36 }
        guard let first = name.utf8.first, isLetter(first), name.utf8.allSatisfy({ isLetter($0) || $0 >= 48 && $0 <= 57 }) else {
            return quoted(name)
        }
        return name
    }

    /// On one line.
    private func plain(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.isWhitespace || $0.value < 32 || $0.value == 127 ? " " : $0 }))
            .split(separator: " ").joined(separator: " ")
    }

    /// On one line, and unable to end the comment that it stands in.
    private func comment(_ text: String) -> String { plain(text).split(separator: "*/", omittingEmptySubsequences: false).joined(separator: "* /") }
}
