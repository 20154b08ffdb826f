// The meaning of each flag, and the sessions to which it applies. npc_lims/model/flags.py computes the flags.

/** @type {Record<string, {yes: string, no: string, applies?: string}>} */
export const EXPLANATIONS = {
  is_uploaded: {
    yes: "Raw data is on Code Ocean; for ephys also the recording on S3.",
    no: "No raw data on Code Ocean yet, or for ephys no recording on S3.",
  },
  is_session_json: {
    yes: "The raw folder has session.json or acquisition.json.",
    no: "The raw folder has neither session.json nor acquisition.json.",
  },
  is_rig_json: {
    yes: "The raw folder has rig.json or instrument.json.",
    no: "The raw folder has neither rig.json nor instrument.json.",
  },
  is_video: {
    yes: "The raw folder has videos, or the tracked entry says so.",
    no: "The raw folder has no videos, or the tracked entry says so.",
    applies: "sessions with sync",
  },
  is_sorted: {
    yes: "Code Ocean has a spike-sorting result that did not error.",
    no: "No spike-sorting result yet.",
    applies: "ephys",
  },
  is_annotated: {
    yes: "S3 has CCF coordinates, from the IBL GUI or tissuecyte.",
    no: "No CCF coordinates on S3 yet.",
    applies: "ephys",
  },
  is_dlc_eye: ofVideo("DeepLabCut result for the eye camera"),
  is_dlc_side: ofVideo("DeepLabCut result for the side camera"),
  is_dlc_face: ofVideo("DeepLabCut result for the face camera"),
  is_facemap: ofVideo("Facemap result"),
  is_gamma_encoding: ofVideo("GammaEncoding result"),
  is_LPFaceParts: ofVideo("Lightning Pose result for parts of the face"),
  is_surface_channels: {
    yes: "Surface channels were recorded separately.",
    no: "Surface channels were not recorded separately.",
    applies: "the first ephys session of a day",
  },
  is_surface_channels_sorted: {
    yes: "The surface channels are sorted.",
    no: "The surface channels are not sorted yet.",
    applies: "sessions with surface channels",
  },
  is_production: { yes: "Production session (default).", no: "Not a production session, by its tracked entry." },
  is_imaged: { yes: "The brain was imaged: SmartSPIM or tissuecyte.", no: "The brain was not imaged yet." },
  is_parquet_cached: ofCache("component cache"),
  is_nwb_cached: ofCache("NWB cache"),
};

/** @type {Record<string, string>} the sources, as the site calls them */
export const SOURCES = {
  tracked: "tracked_sessions.yaml",
  training: "Training workbooks",
  codeocean: "Code Ocean",
  s3: "S3",
};

/** @param {string} result */
function ofVideo(result) {
  return { yes: `There is a ${result}.`, no: `No ${result} yet.`, applies: "sessions with video" };
}

/** @param {string} cache */
function ofCache(cache) {
  return { yes: `The ${cache} on S3 has the session.`, no: `The ${cache} on S3 does not have the session yet.` };
}
