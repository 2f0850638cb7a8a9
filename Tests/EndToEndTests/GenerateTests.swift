import Foundation
import Model
import Mongo
import Simulator
import TestSupport
import Testing

extension EndToEnd {
    /// What `generate models` writes, checked by the TypeScript compiler in its strictest mode.
    @Suite(.scratchDatabase) struct GenerateTests {
        private func uri() async throws -> String { try await MongoServer.shared.uri(ScratchDatabase.current.name) }

        private func withFolder<R>(_ body: (URL) async throws -> R) async throws -> R {
            let folder = FileManager.default.temporaryDirectory.appending(path: "hubspot-sync-generate-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }  // the scratch folder goes anyway
            return try await body(folder)
        }

        private static func environment(_ simulator: Simulator) -> [String: String] {
            ["HUBSPOT_ACCESS_TOKEN": Service.token, "HUBSPOT_API_BASE_URL": simulator.baseURL]
        }

        /// Uses of the types that must compile, and after `@ts-expect-error` those that must not: the compiler complains of a mistake that it does not find.
        private static let use = """
            import { CompanyModel, ContactModel, DealModel } from "./hubspot-models";
            import type { Company, Contact, ContactProperties, Deal, DealPipelineId, DealStageId } from "./hubspot-types";

            const stage: DealStageId = "closedwon";
            const pipeline: DealPipelineId = "default";
            // @ts-expect-error: no such stage
            const noStage: DealStageId = "won";
            // @ts-expect-error: no such pipeline
            const noPipeline: DealPipelineId = "sales";

            export function read(contact: Contact, company: Company, deal: Deal): (string | null)[] {
              const amount: number | null = deal.amount;
              const closed: Date | null = deal.closeDate;
              const employees: number | null = company.numberOfEmployees;
              const companies: string[] = contact.associations.companies;
              const state: "synced" | "pending" | "error" = contact.syncStatus;
              const confirmed: "true" | "false" | "" | null = contact.properties.custom_0004_is_confirmed;
              const strange: string | null = contact.properties["1st-\\"name\\""];
              const tier: ContactProperties["custom_0007_tier"] = "Zweite Möglichkeit";
              // @ts-expect-error: not an option
              const noTier: ContactProperties["custom_0007_tier"] = "gold";
              // @ts-expect-error: no such property
              const missing = contact.properties.no_such_property;
              // @ts-expect-error: null is possible
              const email: string = contact.email;
              return [`${amount} ${closed} ${employees} ${companies} ${state} ${confirmed} ${noTier} ${missing} ${email}`, strange, tier];
            }

            export async function find(): Promise<string | null | undefined> {
              const contact = await ContactModel.findOne({ archived: false });
              const deal = await DealModel.findOne({ dealStage: stage, pipeline });
              await CompanyModel.findOne({});
              // @ts-expect-error: a number
              const text: string | null | undefined = deal?.amount;
              return contact?.email ?? text ?? noStage ?? noPipeline;
            }
            """

        /// Of Mongoose as much as is used, in its own words, so that what Mongoose refuses is refused here.
        private static let mongoose = """
            declare module "mongoose" {
              namespace mongoose {
                interface SchemaOptions {
                  collection?: string;
                  versionKey?: string | false;
                  autoIndex?: boolean;
                  autoCreate?: boolean;
                }
                class Mixed { private mixed: true; }
                type Path = StringConstructor | NumberConstructor | BooleanConstructor | DateConstructor | typeof Mixed | StringConstructor[]
                  | { type: StringConstructor; required?: boolean; enum?: readonly string[] } | { [name: string]: StringConstructor[] };
                class Schema<T> {
                  static Types: { Mixed: typeof Mixed };
                  constructor(definition: { [name in keyof T]: Path }, options?: SchemaOptions);
                  private document: T;
                }
                interface Model<T> { findOne(filter: Partial<T>): Promise<T | null>; }
                const models: { [name: string]: Model<any> };
                function model<T>(name: string, schema: Schema<T>): Model<T>;
              }
              export default mongoose;
            }
            """

        @Test func theTypesFitTheAccountAndCompile() async throws {
            try await withSimulator { simulator in
                // Names and labels that would break out of where they stand.
                _ = simulator.world.defineProperty(.contacts, name: "1st-\"name\"", label: "Ends */ a comment\n// or a line", kind: "string", fieldType: "text")
                try await withFolder { folder in
                    let made = try await ServiceProcess.run(
                        ["generate", "models", "--source", "hubspot", "--output", folder.path + "/models"],
                        environment: GenerateTests.environment(simulator))
                    #expect(made.status == 0 && made.output == "", "\(made.errors)")
                    try Data(GenerateTests.use.utf8).write(to: folder.appending(path: "models/use.ts"))
                    try Data(GenerateTests.mongoose.utf8).write(to: folder.appending(path: "models/mongoose.d.ts"))
                    let checked = try await TypeScript.compile(["use.ts", "mongoose.d.ts"], in: folder.appending(path: "models"))
                    #expect(checked.status == 0, "\(checked.output)")

                    let types = try String(contentsOf: folder.appending(path: "models/hubspot-types.ts"), encoding: .utf8)
                    #expect(types.contains("  /** Ends * / a comment // or a line (string) */\n  \"1st-\\\"name\\\"\": string | null;\n"))
                    #expect(types.contains("  | \"148309307\" // Renewals · 更新: Offen\n"))
                    for type in ["contacts", "companies", "deals"] { #expect(types.contains("`\(type)`")) }
                }
            }
        }

        /// Whether the definitions come from HubSpot or through the mirror, and however often.
        @Test func theSameDefinitionsGiveTheSameText() async throws {
            try await withSimulator { simulator in
                try await Service.run(Service.environment(mongodb: try await uri(), hubspot: simulator.baseURL)) { service in
                    _ = try await service.sync("contacts?limit=1")
                    let live = try await ServiceProcess.run(["generate", "models", "--source", "hubspot"], environment: GenerateTests.environment(simulator))
                    #expect(live.status == 0 && live.output.contains("export const DealModel"), "\(live.errors)")
                    for _ in 1...2 {
                        let mirrored = try await service.command(["generate", "models", "--language", "typescript"])
                        #expect(mirrored.status == 0, "\(mirrored.errors)")
                        #expect(mirrored.output == live.output)
                    }
                    // One file as well as two.
                    try await withFolder { folder in
                        try Data(live.output.utf8).write(to: folder.appending(path: "all.ts"))
                        try Data(GenerateTests.mongoose.utf8).write(to: folder.appending(path: "mongoose.d.ts"))
                        let checked = try await TypeScript.compile(["all.ts", "mongoose.d.ts"], in: folder)
                        #expect(checked.status == 0, "\(checked.output)")
                    }
                }
            }
        }

        @Test func whatCannotBeReadOrWrittenIsSaid() async throws {
            try await withSimulator { simulator in
                let environment = GenerateTests.environment(simulator)
                let folder = try await ServiceProcess.run(["generate", "models", "--source", "hubspot", "--output", "/proc/none"], environment: environment)
                #expect(folder.status == 1 && folder.errors.contains("/proc/none/hubspot-types.ts cannot be written"), "\(folder.errors)")
                simulator.missingScopes = ["crm.schemas.contacts.read", "crm.objects.contacts.read"]
                let scope = try await ServiceProcess.run(["generate", "models", "--source", "hubspot"], environment: environment)
                #expect(scope.status == 1 && scope.output == "" && scope.errors.contains("doctor"), "\(scope.errors)")
                let token = try await ServiceProcess.run(["generate", "models", "--source", "hubspot"])
                #expect(token.status == 1 && token.errors.contains("HUBSPOT_ACCESS_TOKEN"))
                let language = try await ServiceProcess.run(["generate", "models", "--language", "cobol"])
                #expect(language.status == 64)
            }
        }
    }
}

/// The TypeScript compiler that `TSC` names or that is on the PATH; deploy/test gets one.
private enum TypeScript {
    struct Failure: Error, CustomStringConvertible { let description: String }

    static func compile(_ files: [String], in folder: URL) async throws -> (status: Int32, output: String) {
        let environment = ProcessInfo.processInfo.environment
        let candidates = environment["TSC"].map { [$0] } ?? (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/tsc" }
        guard let tsc = candidates.first(where: FileManager.default.isExecutableFile) else {
            throw Failure(description: "these tests need a TypeScript compiler: put tsc on the PATH or name it in TSC; deploy/test fetches one")
        }
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: tsc)
        process.currentDirectoryURL = folder
        process.arguments =
            ["--noEmit", "--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--isolatedModules"]
            + ["--target", "es2020", "--module", "es2020", "--moduleResolution", "node", "--pretty", "false"] + files
        process.standardOutput = pipe
        process.standardError = pipe
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        for await _ in ended {}
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
