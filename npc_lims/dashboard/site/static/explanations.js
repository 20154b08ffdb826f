// What a yes of each flag says, and to which sessions the flag applies. How they are computed: npc_lims/status/.

/** @type {Record<string, {yes: string, applies?: string}>} */
export const EXPLANATIONS = {
  is_uploaded: { yes: "Code Ocean has the raw data; for ephys S3 holds the recording, too." },
  is_session_json: { yes: "session.json or acquisition.json is in the raw folder." },
  is_rig_json: { yes: "rig.json or instrument.json is in the raw folder." },
  is_video: { yes: "The raw folder holds videos, or the tracked entry says so.", applies: "sessions with sync" },
  is_sorted: { yes: "Code Ocean has a spike-sorting result that did not error.", applies: "ephys" },
  is_annotated: { yes: "S3 holds CCF coordinates, from the IBL GUI or tissuecyte.", applies: "ephys" },
  is_dlc_eye: { yes: "There is a DeepLabCut result for the eye camera.", applies: "sessions with video" },
  is_dlc_side: { yes: "There is a DeepLabCut result for the side camera.", applies: "sessions with video" },
  is_dlc_face: { yes: "There is a DeepLabCut result for the face camera.", applies: "sessions with video" },
  is_facemap: { yes: "There is a Facemap result.", applies: "sessions with video" },
  is_gamma_encoding: { yes: "There is a GammaEncoding result.", applies: "sessions with video" },
  is_LPFaceParts: { yes: "There is a Lightning Pose result for parts of the face.", applies: "sessions with video" },
  is_surface_channels: { yes: "Surface channels were recorded apart.", applies: "the first ephys session of a day" },
  is_surface_channels_sorted: { yes: "The surface channels are sorted.", applies: "sessions with surface channels" },
  is_production: { yes: "For production, as the tracked entry says or does not deny." },
  is_imaged: { yes: "The brain was imaged: SmartSPIM or tissuecyte." },
  is_parquet_cached: { yes: "The component cache on S3 has the session." },
  is_nwb_cached: { yes: "The NWB cache on S3 has the session." },
};

/** @type {Record<string, string>} the sources, as the site calls them */
export const SOURCES = {
  tracked: "tracked_sessions.yaml",
  training: "Training workbooks",
  codeocean: "Code Ocean",
  s3: "S3",
};
