{{/*
The web configuration file: TLS and basic authentication of the exporter's endpoint. One volume contains the file and,
in a subdirectory, the certificate that it refers to.
*/}}

{{/* Not empty if a web configuration file exists. */}}
{{- define "exporter.web.enabled" -}}
{{- with .Values.webConfig -}}
{{- if and .existingSecret (or .content .tlsSecretName) -}}
{{- fail "webConfig.existingSecret holds the whole file: webConfig.content and webConfig.tlsSecretName cannot be combined with it" -}}
{{- end -}}
{{- if or .existingSecret .content .tlsSecretName }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* The file as YAML, if the chart creates it. */}}
{{- define "exporter.web.file" -}}
{{- $content := deepCopy .Values.webConfig.content -}}
{{- if .Values.webConfig.tlsSecretName -}}
{{- $content = merge $content (dict "tls_server_config" (dict "cert_file" "tls/tls.crt" "key_file" "tls/tls.key")) -}}
{{- end -}}
{{- with $content }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "exporter.web.secretName" -}}
{{- .Values.webConfig.existingSecret | default (printf "%s-web-config" (include "exporter.fullname" .)) -}}
{{- end -}}

{{- define "exporter.web.scheme" -}}
{{- $tls := hasKey (include "exporter.web.file" . | fromYaml) "tls_server_config" -}}
{{- .Values.webConfig.scheme | default (ternary "https" "http" $tls) -}}
{{- end -}}

{{- define "exporter.web.directory" -}}
/etc/{{ .Chart.Name }}/web
{{- end -}}

{{- define "exporter.web.path" -}}
{{ include "exporter.web.directory" . }}/web-config.yaml
{{- end -}}

{{- define "exporter.web.volumeMount" -}}
{{- if include "exporter.web.enabled" . -}}
- name: web-config
  mountPath: {{ include "exporter.web.directory" . }}
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "exporter.web.volume" -}}
{{- if include "exporter.web.enabled" . -}}
- name: web-config
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "exporter.web.secretName" . }}
          items:
            - key: {{ .Values.webConfig.secretKey }}
              path: web-config.yaml
      {{- with .Values.webConfig.tlsSecretName }}
      - secret:
          name: {{ . }}
          items:
            - key: tls.crt
              path: tls/tls.crt
            - key: tls.key
              path: tls/tls.key
      {{- end }}
{{- end -}}
{{- end -}}

{{- define "exporter.web.secret" -}}
{{- with include "exporter.web.file" . -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "exporter.metadata" (dict "root" $ "name" (include "exporter.web.secretName" $)) | nindent 2 }}
type: Opaque
stringData:
  {{ $.Values.webConfig.secretKey }}: |
    {{- . | nindent 4 }}
{{- end -}}
{{- end -}}
