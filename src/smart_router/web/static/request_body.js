// The body of a request to /route and /classify. Pure.

export function routeBody({ query, sessionId, attachments, choice, fields, stream }) {
  return {
    query,
    ...(sessionId ? { session_id: sessionId } : {}),
    ...(choice ? { use_case: choice } : {}),
    ...(attachments.length ? { attachments: attachments.map(asAttachment) } : {}),
    ...fields,
    ...(stream ? { stream: true } : {}),
  };
}

function asAttachment({ kind, data, mediaType, url }) {
  return url ? { type: kind, url } : { type: kind, data, media_type: mediaType };
}

/** Bytes of *body* as JSON in UTF-8. Base64 is a byte a letter, so it need not be encoded to be counted. */
export function sizeOf({ attachments = [], ...rest }) {
  const plain = new TextEncoder().encode(JSON.stringify(rest)).length;
  return attachments.reduce((sum, { data, url }) => sum + 80 + (data ?? url ?? "").length, plain);
}
