{{- define "spacelift-promex.port" -}}
{{ include "exporter.portOf" .Values.listenAddress }}
{{- end -}}

{{- define "spacelift-promex.path" -}}
/metrics
{{- end -}}

{{/* The file with the API key's secret, whoever provides it. */}}
{{- define "spacelift-promex.secretFile" -}}
/var/run/secrets/spacelift/{{ include "spacelift-promex.secretKey" . }}
{{- end -}}

{{/* The key that Spacelift's own chart expects in the Secret. */}}
{{- define "spacelift-promex.secretKey" -}}
SPACELIFT_PROMEX_API_KEY_SECRET
{{- end -}}

{{/*
The projected source of the API key's secret: a Secret of the user's, the chart's, or a token of the
service account. Empty if the user brings it by other means, as a variable or a mounted file.
*/}}
{{- define "spacelift-promex.secretSource" -}}
{{- $existing := .Values.apiKeySecretName | default .Values.existingSecret -}}
{{- $sources := list .Values.apiKeySecretName .Values.existingSecret .Values.apiKeySecret (ternary "oidc" "" .Values.oidc.enabled) | compact -}}
{{- if gt (len $sources) 1 -}}
{{- fail "only one of apiKeySecretName, existingSecret, apiKeySecret and oidc.enabled may be set" -}}
{{- end -}}
{{- if not (or $sources .Values.extraEnv .Values.extraEnvFrom) -}}
{{- fail "the API key has no secret: set one of apiKeySecretName, existingSecret, apiKeySecret and oidc.enabled" -}}
{{- end -}}
{{- if .Values.oidc.enabled -}}
serviceAccountToken:
  audience: {{ required "oidc.audience is required: the client id of the API key in Spacelift" .Values.oidc.audience }}
  expirationSeconds: {{ .Values.oidc.expirationSeconds }}
  path: {{ include "spacelift-promex.secretKey" . }}
{{- else if $sources -}}
secret:
  name: {{ $existing | default (include "exporter.fullname" .) }}
  items:
    - key: {{ include "spacelift-promex.secretKey" . }}
      path: {{ include "spacelift-promex.secretKey" . }}
{{- end -}}
{{- end -}}

{{/* Prometheus must not give up before the exporter does. */}}
{{- define "spacelift-promex.checkTimeouts" -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- with get $.Values $name -}}
{{- if .enabled -}}
{{- include "exporter.fits" (dict
  "short" $.Values.scrapeTimeout "shortName" "scrapeTimeout"
  "long" .scrapeTimeout "longName" (printf "%s.scrapeTimeout" $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
