import { errorManuals, type ErrorCode, type ErrorManual } from "./codes.ts";

/** Where it happened. Names only: values of rows never appear. */
export interface ErrorPlace {
  readonly stream?: string;
  readonly entryId?: string;
  /** schema.table */
  readonly table?: string;
  /** Names of the key's columns. */
  readonly keyColumns?: readonly string[];
  readonly column?: string;
  readonly option?: string;
}

/** An error with a code, a place and a remedy; the cause chain is kept. */
export class SluiceError extends Error {
  readonly code: ErrorCode;
  readonly place: ErrorPlace;
  private readonly ownRemedy: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly place?: ErrorPlace; readonly remedy?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "SluiceError";
    this.code = code;
    this.place = options.place ?? {};
    this.ownRemedy = options.remedy;
  }

  get remedy(): string {
    return this.ownRemedy ?? errorManuals[this.code].remedy;
  }

  get policy(): ErrorManual["policy"] {
    return errorManuals[this.code].policy;
  }

  /** The same error with more of its place known; what is already there stays. */
  at(place: ErrorPlace): SluiceError {
    return new SluiceError(this.code, this.message, {
      place: { ...place, ...this.place },
      ...(this.ownRemedy === undefined ? {} : { remedy: this.ownRemedy }),
      cause: this.cause,
    });
  }
}
